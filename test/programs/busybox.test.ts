/** Debian's static busybox: applets that run in one process print byte for byte what they print natively. */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { singleProcessCommands } from '../busybox.list.js';
import { fixture } from './build.js';
import { comparisonUnavailable, runEuropa, runNative } from './europa.js';

const BUSYBOX = '/bin/busybox';
const unavailable =
  comparisonUnavailable() ?? (existsSync(BUSYBOX) ? undefined : 'Debian’s busybox-static is not installed');
const only = new RegExp(process.env.EUROPA_PROGRAMS ?? '');
const commands = singleProcessCommands
  .map(({ args, input = '' }) => ({ args, input, name: args.join(' ').slice(0, 60) }))
  .filter(({ name }) => only.test(name));

describe.skipIf(unavailable)(`busybox${unavailable ? ` (skipped: ${unavailable})` : ''}`, () => {
  it.each(commands)(
    '$name',
    ({ args, input }) => {
      const folder = fixture();
      const expected = runNative(BUSYBOX, args, input, folder);
      const actual = runEuropa(BUSYBOX, args, input, folder);
      expect(actual.output, actual.errorOutput).toBe(expected.output);
      expect(actual.status).toBe(expected.status);
    },
    150_000,
  );
});
