import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkQuestions } from './check.js';
import { type GuestProcess, planProcesses, processArguments, selectQuestions } from './plan.js';
import { toJson } from './report.js';
import { renderSummary, renderTable } from './table.js';
import { agrees, type GuestOutput } from './verdicts.js';
import { renderWitness } from './witness.js';

/**
 * The reference for the `linux` rows: the same guest programs and the same verdicts, in real Linux on emulated hardware with
 * protection keys (bench/linux-in-qemu.sh). Where Linux and a row differ, Linux is right and the row is to be changed.
 *
 *   node linux-oracle.js [JSON-FILE]
 *
 * Exit status 0 if all verdicts are as expected, 1 if not, 2 if Linux could not be run.
 */

const CPUS = 2;

/** A line before and after each process's output; the shell's status follows the second. */
const MARK = '@@process';

/** Shell script that runs the processes one after another. */
export function oracleScript(processes: readonly GuestProcess[]): string {
  const lines = processes.map((process, i) => {
    const command = [`verify-${process.program}`, ...processArguments(process)].join(' ');
    return `echo ${MARK} ${i}\ntimeout 60 ${command}\necho ${MARK} ${i} status $?\n`;
  });
  return lines.join('');
}

/** What each process printed, by its place in the script; a process that printed no status has not ended. */
export function splitOutput(output: string, count: number): GuestOutput[] {
  const results: GuestOutput[] = Array.from({ length: count }, () => ({ output: '', failure: 'not run' }));
  const parts = output.split(new RegExp(`^${MARK} (\\d+)(?: status (\\d+))?\\n`, 'm'));
  for (let at = 1; at + 2 < parts.length; at += 3) {
    const [index, status, text] = [Number(parts[at]), parts[at + 1], parts[at + 2]];
    if (index >= count) continue;
    if (status === undefined) results[index] = { output: text, failure: 'it did not end' };
    else results[index] = { ...results[index], failure: describeStatus(Number(status)) };
  }
  return results;
}

/** Statuses of a shell and of timeout(1). */
function describeStatus(status: number): string | null {
  if (status === 143 || status === 124) return 'no answer within 60 s';
  return status > 128 ? `the program was killed by signal ${status - 128}` : null;
}

/** Runs a script in Linux; rejects if there is no Linux to run it. */
function runInLinux(script: string, root: string, files: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(root, 'bench/linux-in-qemu.sh'), ['--cpus', String(CPUS), ...files], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve(output) : reject(new Error(`linux-in-qemu.sh ended with status ${code}`)),
    );
    child.stdin.end(script);
  });
}

async function main(jsonFile: string | undefined): Promise<number> {
  const here = dirname(fileURLToPath(import.meta.url));
  const root = ['../..', '../../..']
    .map((up) => join(here, up))
    .find((path) => existsSync(join(path, 'package.json')))!;
  const questions = selectQuestions({ abis: ['linux'] });
  const processes = planProcesses(questions);
  const programs = [
    ...new Set(processes.map(({ program }) => join(root, `src/guests/bin/verify-${program}`))),
  ];
  const script = `echo "$(uname -r)" > /tmp/release; ${oracleScript(processes)}echo ${MARK} ${processes.length}; cat /tmp/release\n`;
  const begin = performance.now();
  const output = await runInLinux(script, root, programs);
  const outputs = splitOutput(output, processes.length);
  const release = output.trimEnd().split('\n').at(-1);
  const byKey = new Map(processes.map((process, i) => [processArguments(process).join(' '), outputs[i]]));
  const results = await checkQuestions(
    questions,
    async (process) => byKey.get(processArguments(process).join(' '))!,
    { jobs: 1 },
  );
  process.stdout.write(`Linux ${release}\n\n${renderTable(results)}`);
  for (const result of results.filter((one) => !agrees(one))) {
    process.stdout.write(`\n${renderWitness(result)}`);
  }
  process.stdout.write(`\n${renderSummary(results, (performance.now() - begin) / 1000)}`);
  if (jsonFile !== undefined) writeFileSync(jsonFile, toJson(results));
  return results.every(agrees) ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(process.argv[2]).then(
    (status) => {
      process.exitCode = status;
    },
    (error: Error) => {
      process.stderr.write(`verify:linux: ${error.message}\n`);
      process.exitCode = 2;
    },
  );
}
