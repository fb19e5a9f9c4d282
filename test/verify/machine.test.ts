import { describe, expect, it } from 'vitest';
import type { AbiName } from '../../src/kernel/pkeys/names.js';
import { machineRunner } from '../../src/machine/guest-runner.js';
import { Machine } from '../../src/machine/machine.js';
import { packageFile } from '../../src/startup/package-file.js';
import { Mutant } from '../../src/memory/mutants.js';
import { parseRecords } from '../../src/observe/records.js';
import { checkQuestions } from '../../src/verify/check.js';
import { selectQuestions } from '../../src/verify/plan.js';

/** Results of the steps that the `calls` program makes. */
async function calls(abi: AbiName, steps: string): Promise<string[]> {
  const machine = await Machine.boot({ abi, memory: 64 << 20, stdout: 'capture' });
  try {
    const result = await machine.run(packageFile('src/guests/bin/calls'), steps.split(' '), {});
    expect(result.exitCode).toBe(0);
    return parseRecords(result.output.toString()).map(
      ({ result, pkru, key }) => result ?? pkru ?? `key ${key}`,
    );
  } finally {
    await machine.close();
  }
}

describe('properties on machines', () => {
  it('that need no search have the expected verdicts', async () => {
    const questions = selectQuestions({
      abis: ['minimal', 'linux', 'task-bitmap'],
      properties: [
        'pk-bit',
        'handler-pkru',
        'free0-refused',
        'peers-denied',
        'alloc-unique',
        'xonly-costs-no-key',
      ],
    });
    const results = await checkQuestions(questions, machineRunner(), { jobs: 2 });
    expect(results.map(({ abi, property, observed, note }) => [abi, property, observed, note])).toEqual(
      questions.map(({ property, cell }) => [cell.abi, property.name, cell.expected, undefined]),
    );
    for (const { observed, witness } of results) expect(witness !== null).toBe(observed === 'violated');
  });

  it('notice a handler that keeps the interrupted PKRU', async () => {
    const questions = selectQuestions({ abis: ['minimal'], properties: ['handler-pkru'] });
    const [result] = await checkQuestions(questions, machineRunner(Mutant.handlerKeepsPkru), { jobs: 1 });
    expect(result).toMatchObject({ observed: 'violated', expected: 'holds' });
    expect(result.witness).not.toBeNull();
  });
});

describe('errors and their order, through the machine', () => {
  it('linux: start, then length 0, then protection, then key', async () => {
    const steps =
      'pkey_mprotect page+1 0 0x8 99 , pkey_mprotect page 0 0x8 99 , pkey_mprotect page 4096 0x10 99 , pkey_mprotect page 4096 3 99 , pkey_mprotect page 4096 3 1 , pkey_mprotect hole 4096 3 0 , pkey_alloc 1 0 , pkey_alloc 0 4 , pkey_free 1 , pkey_free 0';
    expect(await calls('linux', steps)).toEqual([
      '-22',
      '0',
      '-22',
      '-22',
      '-22',
      '-12',
      '-22',
      '-22',
      '-22',
      '0',
    ]);
  });

  it('minimal: the key before everything else', async () => {
    const steps =
      'pkey_mprotect page+1 0 0x10 14 , pkey_mprotect page+1 0 0x10 15 , pkey_mprotect page+1 0 0 16 , pkey_mprotect page 0 0 -1 , pkey_mprotect page+1 0 0 13 , pkey_mprotect page 0 0 13 , pkey_mprotect 0 4096 1 13 , pkey_alloc 0 0 , pkey_free 1 , pkey_set 1 0 0';
    expect(await calls('minimal', steps)).toEqual([
      '-95',
      '-95',
      '-22',
      '-22',
      '-22',
      '0',
      '-12',
      '-38',
      '-38',
      '-38',
    ]);
  });

  it('mm-bitmap: range before everything, then flags, rights, allocation', async () => {
    const steps =
      'pkey_mprotect page+1 0 0 16 , pkey_mprotect page 0 0 -1 , pkey_free 0 , pkey_get 1 1 , pkey_get 16 0 , pkey_get 1 0 , pkey_set 1 4 0 , pkey_set 1 0 1 , pkey_set 1 1 0 , pkey_alloc 0 2 , pkey_get 1 0';
    expect(await calls('mm-bitmap', steps)).toEqual([
      '-22',
      '-22',
      '-22',
      '-22',
      '-22',
      '-9',
      '-22',
      '-22',
      '-9',
      '1',
      '2',
    ]);
  });
});
