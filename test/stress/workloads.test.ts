import { describe, expect, it } from 'vitest';
import { minimise } from '../../src/stress/minimise.js';
import { ExhaustiveSchedule } from '../../src/scheduler/seeded/exhaustive.js';
import { Recorder } from '../../src/scheduler/seeded/listed.js';
import { packageFile } from '../../src/startup/package-file.js';
import { workloads } from '../../src/stress/workloads.js';
import { explore, options, prepare } from './fixtures.js';

const twins = workloads().filter((workload) => workload.twins);

describe('workloads under pct:3', () => {
  for (const { name, file, args, failsUnder, failureKind } of twins) {
    // A hazard of one ABI is tried there; the others are the same under all.
    const abi = failsUnder.includes('minimal') ? 'minimal' : failsUnder[0];
    const settings = (list: readonly string[]) => options(packageFile(`src/guests/${file}`), list, { abi });

    it(`${name}: the faulty twin fails under ${abi}, and the failure is minimised`, () => {
      const { machine, schedule } = prepare(settings(args.faulty!), 'pct:3');
      const recorder = new Recorder(schedule);
      const outcomes = explore({ machine, schedule: recorder }, 2000, ({ kind }) => kind !== null);
      const failed = outcomes.at(-1)!;
      expect(failed.kind).toBe(failureKind);
      const small = minimise(machine, recorder.decisions, failureKind);
      expect(small.outcome.kind).toBe(failureKind);
      // As few preemptions as an exhaustive search needs.
      for (let preemptions = 0; preemptions < small.outcome.preemptions; preemptions++) {
        const fewer = explore({ machine, schedule: new ExhaustiveSchedule(preemptions) }, 2000);
        expect(fewer.filter(({ kind }) => kind === failureKind)).toEqual([]);
      }
    });

    it(`${name}: the corrected twin holds under ${abi}`, () => {
      const outcomes = explore(prepare(settings(args.fixed), 'pct:3'), 500);
      expect(outcomes.filter(({ exitCode }) => exitCode !== 0)).toEqual([]);
      expect(new Set(outcomes.map(({ traceHash }) => traceHash)).size).toBeGreaterThan(1);
    });
  }
});
