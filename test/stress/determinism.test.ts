import { describe, expect, it } from 'vitest';
import { ListedSchedule, Recorder } from '../../src/scheduler/seeded/listed.js';
import { runCampaign } from '../../src/stress/campaign.js';
import { explore, options, prepare } from './fixtures.js';

const settings = options('shadow-pkru', ['faulty']);
const hashes = (schedule: string) =>
  explore(prepare(settings, schedule), 100).map(({ traceHash }) => traceHash);

describe('seeded runs', () => {
  for (const schedule of ['random', 'pct:3', 'round-robin']) {
    it(`${schedule}: 100 seeds have the same traces on another machine`, () => {
      const first = hashes(schedule);
      expect(hashes(schedule)).toEqual(first);
      expect(new Set(first).size).toBeGreaterThan(schedule === 'round-robin' ? 1 : 50);
    });
  }

  it('a run does not depend on the runs before it', () => {
    const first = explore(prepare(settings, 'random'), 50);
    const { machine, schedule } = prepare(settings, 'random');
    for (const run of [49, 3, 17, 3, 0]) {
      expect(machine.run(schedule, run)!.traceHash).toBe(first[run].traceHash);
    }
  });

  it('recorded decisions make the same run again, with more threads than CPUs too', () => {
    for (const cpus of [1, 2, 4]) {
      const { machine, schedule } = prepare(options('erim-vault', ['faulty'], { cpus }), 'random');
      for (let seed = 0; seed < 20; seed++) {
        const recorder = new Recorder(schedule);
        const { traceHash } = machine.run(recorder, seed)!;
        expect(machine.run(new ListedSchedule(recorder.decisions), 0)!.traceHash).toBe(traceHash);
      }
    }
  });

  it('the work is the same however many jobs share it', async () => {
    const campaign = (jobs: number) =>
      runCampaign({
        machine: settings,
        schedule: 'pct:3',
        seed: 100,
        runs: 100,
        seconds: Infinity,
        jobs,
        keepGoing: true,
        progress: (progress) => told.push(...Object.values(progress)),
      });
    const told: number[] = [];
    const one = await campaign(1);
    const two = await campaign(2);
    expect(two.failures).toEqual(one.failures);
    expect(one.failures.length).toBeGreaterThan(0);
    expect(two.explained).toEqual(one.explained);
    expect([two.runs, two.traces]).toEqual([one.runs, one.traces]);
    expect(told.length).toBeGreaterThan(0);
    expect(told.filter((value) => !Number.isFinite(value))).toEqual([]);
  });
});
