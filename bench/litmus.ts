/**
 * The litmus tests of x86-TSO on parallel CPUs: `node dist/bench/litmus.js [ITERATIONS=10000000] [TEST…]`. A line for each test
 * and variant with the times that the outcome was seen which sequential consistency excludes; exit status 1 if x86-TSO forbids
 * one that was seen.
 */
import { Machine } from '../src/machine/index.js';
import { packageFile } from '../src/startup/package-file.js';
import { parseRecords } from '../src/observe/records.js';

/** Threads of each test. */
const TESTS = { SB: 2, MP: 2, LB: 2, R: 2, S: 2, '2+2W': 2, IRIW: 4 };
const VARIANTS = ['plain', 'half', 'xchg', 'mfence', 'lock'];

const [iterations = '10000000', ...chosen] = process.argv.slice(2);
let forbidden = 0;
for (const [test, cpus] of Object.entries(TESTS)) {
  if (chosen.length > 0 && !chosen.includes(test)) continue;
  for (const variant of VARIANTS) {
    const begin = performance.now();
    const machine = await Machine.boot({ cpus, stdout: 'capture' });
    const { exitCode, output } = await machine.run(
      packageFile('src/guests/bin/litmus'),
      [test, variant, iterations],
      {},
    );
    await machine.close();
    const records = parseRecords(output.toString());
    const weak = records.find((record) => record.weak === '1');
    const allowed = weak?.allowed !== '0';
    const total = records.reduce((sum, record) => sum + Number(record.count), 0);
    if (!allowed || exitCode !== 0 || total !== Number(iterations)) forbidden++;
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    const verdict = weak === undefined ? '' : allowed ? ', which TSO allows' : ', WHICH TSO FORBIDS';
    console.log(
      `${test.padEnd(5)}${variant.padEnd(7)}${total} iterations, ${records.length} outcomes, ` +
        `the weak one ${weak?.count ?? 0} times${verdict} (exit ${exitCode}, ${seconds} s)`,
    );
  }
}
process.exitCode = forbidden > 0 ? 1 : 0;
