import { afterAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/machine/options.js';
import { fileHash, readReplay } from '../../src/stress/replay-file.js';
import { guest, Scratch } from '../machine/fixtures.js';

const scratch = new Scratch();
afterAll(() => scratch.cleanUp());

const path = guest('lost-update');
const good = {
  europa: 1,
  options: {
    ...{ path, args: ['faulty'], env: [], cpus: 4, abi: 'minimal', debugFpu: false, memory: 1 << 26 },
    ...{ memoryModel: 'tso', machineSeed: 1, stdin: '', mutants: 0 },
    bounds: { steps: 1000, instructions: 1000, output: 1000, threads: 16 },
  },
  sha256: fileHash(path),
  found: { schedule: 'random', seed: 1, run: 1 },
  decisions: { switches: [[0, 12, 0, 1]], delays: [] },
  host: { answers: {}, files: {} },
  outcome: { kind: 'exit', exitCode: 1, signal: null, traceHash: '0', switches: 1 },
};
const read = (replay: unknown) => readReplay(scratch.file('replay.json', JSON.stringify(replay)));

describe('a replay file', () => {
  it('is read', () => {
    expect(read(good)).toEqual(good);
  });

  it.each([
    [null],
    [[]],
    [{ ...good, europa: 2 }],
    [{ ...good, decisions: { switches: [1], delays: [] } }],
    [{ ...good, decisions: { switches: [[0, 12, {}, 1]], delays: [] } }],
    [{ ...good, decisions: { switches: [], delays: true } }],
    [{ ...good, options: { ...good.options, abi: 'x' } }],
    [{ ...good, options: { ...good.options, cpus: 1e300 } }],
    [{ ...good, options: { ...good.options, memory: 4096 } }],
    [{ ...good, options: { ...good.options, bounds: null } }],
    [{ ...good, outcome: 1 }],
    [{ ...good, sha256: 'x' }],
  ])('that is damaged is refused: %j', (replay) => {
    expect(() => read(replay)).toThrow(UsageError);
  });
});
