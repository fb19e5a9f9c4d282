/** C programs of every kind, with glibc and musl: the same output and status in Europa as natively, or as in real Linux with PKU. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compilerVersion } from '../../bench/compile.js';
import { buildPrograms } from './build.js';
import { comparisonUnavailable, runEuropa, runNative } from './europa.js';

const unavailable =
  comparisonUnavailable() ?? (compilerVersion('glibc') === undefined ? 'there is no gcc' : undefined);
const only = new RegExp(process.env.EUROPA_PROGRAMS ?? '');
const programs = unavailable ? [] : (await buildPrograms()).filter(({ name }) => only.test(name));

describe.skipIf(unavailable)(`programs${unavailable ? ` (skipped: ${unavailable})` : ''}`, () => {
  it.each(programs)(
    '$name',
    (program) => {
      const options = ['--cpus', program.name.match(/threads\.(\d)/)?.[1] ?? '2'];
      const actual = runEuropa(program.path, program.args, '', undefined, options);
      const expected =
        program.expectedFrom === 'native'
          ? runNative(program.path, program.args)
          : {
              output: readFileSync(program.expectedOutput!, 'latin1'),
              status: program.expectedStatus!,
              errorOutput: '',
            };
      const readable = `${actual.output}\n--- standard error\n${actual.errorOutput}`;
      expect(actual.output, readable).toBe(expected.output);
      expect(actual.status, readable).toBe(expected.status);
    },
    150_000,
  );
});
