/** `npm run bench:peers`: the same static programs natively, in qemu-user, in Linux under qemu-system, and in Europa. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { HostLoad } from '../src/observe/scale/host-load.js';
import { compileAll, repositoryRoot } from './compile.js';
import { judge, renderGoals } from './goals.js';
import { type Report, type Runs, render, summarise } from './peer-report.js';
import { missing, type PeerName, peerNames, type RunOptions, runInLinux, runOnHost } from './peer-runs.js';
import { benchPrograms, benchSource } from './programs.js';
import { measureScaling } from './scaling.js';

/** What --only chooses from. */
const SCALING = 'scaling';
const PARTS = [...benchPrograms.map(({ name }) => name), SCALING];
/** How long the host is looked at before a round; its own accounting is in ticks of 10 ms. */
const LOOK_MILLISECONDS = 500;
/** Runs in Europa before the first round. */
const UNMEASURED = 2;
/** Seconds measured of each workload in a round that tells how Europa scales. */
const SCALING_SECONDS = 3;

interface Options {
  only: string[];
  peers: PeerName[];
  rounds: number;
  cpus: number;
  timeout: number;
  json: string;
}

function choose<T>(all: readonly T[], name: (item: T) => string): (text: string) => T[] {
  return (text) => {
    const wanted = text.split(',');
    const unknown = wanted.filter((word) => !all.some((item) => name(item) === word));
    if (unknown.length > 0)
      throw new InvalidArgumentError(
        `No such: ${unknown.join(', ')}. There are: ${all.map(name).join(', ')}.`,
      );
    return all.filter((item) => wanted.includes(name(item)));
  };
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('Not a positive number.');
  return Number(text);
}

const command = new Command('bench:peers')
  .description(
    'Runs the same programs natively, in qemu-user, in Linux under qemu-system, and in Europa, in turn.',
  )
  .addOption(
    new Option(
      '--only <programs>',
      `of ${PARTS.join(', ')}; separated by commas; ${SCALING}: how Europa scales`,
    )
      .argParser(choose(PARTS, String))
      .default(PARTS, 'all'),
  )
  .addOption(
    new Option('--peers <peers>', `of ${peerNames.join(', ')}; separated by commas`)
      .argParser(choose(peerNames, String))
      .default([...peerNames], 'all'),
  )
  .option('--rounds <n>', 'rounds; the table shows medians', positive, 3)
  .option('--cpus <n>', 'CPUs of qemu-system and Europa', positive, 2)
  .option('--timeout <seconds>', 'limit for one program', positive, 120)
  .option('--json <file>', 'where all figures go', join(repositoryRoot, 'bench/out/peers.json'));

async function compare(options: Options): Promise<void> {
  const programs = benchPrograms.filter(({ name }) => options.only.includes(name));
  const sources = [...new Set([...programs.map(({ source }) => source), 'timed'])];
  const paths = await compileAll(
    sources.map((name) => ({ path: benchSource(name), libc: 'glibc' as const })),
  );
  const pathOf = (source: string) => paths[sources.indexOf(source)]!;
  const built = programs.map(({ name, source, europaCpus }) => ({
    name,
    path: pathOf(source),
    europaCpus,
  }));
  const inAll = built.filter(({ europaCpus }) => !europaCpus);
  const runOptions: RunOptions = {
    cpus: options.cpus,
    timeoutSeconds: options.timeout,
    timed: pathOf('timed'),
  };

  const lacking: Report['missing'] = {};
  const runs: Runs = new Map();
  for (const peer of options.peers) {
    const lack = missing(peer);
    if (lack === undefined) runs.set(peer, []);
    else lacking[peer] = lack;
  }

  // So that all that is measured are later runs; V8 may not be done with optimising at the first one's end.
  if (runs.has('europa'))
    for (const program of built) {
      progress(`first runs: ${program.name}`);
      for (let run = 0; run < UNMEASURED; run++) await runOnHost('europa', program, runOptions);
    }

  const otherLoad: (number | null)[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    progress(`round ${round}/${options.rounds}: what else the host does`);
    otherLoad.push(await lookAtHost());
    for (const program of built)
      for (const [peer, results] of runs) {
        if (peer === 'qemu-system' || (program.europaCpus && !peer.startsWith('europa'))) continue;
        progress(`round ${round}/${options.rounds}: ${program.name} in ${peer}`);
        results.push(await runOnHost(peer, program, runOptions));
      }
    const inLinux = runs.get('qemu-system');
    if (inLinux && inAll.length > 0) {
      progress(`round ${round}/${options.rounds}: all in qemu-system`);
      inLinux.push(...(await runInLinux(inAll, runOptions)));
    }
  }
  const { rounds, cpus } = options;
  const scaling =
    runs.has('europa') && options.only.includes(SCALING)
      ? await measureScaling({ rounds, cpus, seconds: SCALING_SECONDS }, (round) =>
          progress(`round ${round}/${rounds}: how Europa scales`),
        )
      : [];
  progress('');

  const facts = { rounds, cpus, missing: lacking, otherLoad, scaling };
  const report = summarise(programs, runs, facts);
  const reached = judge(report);
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify({ ...report, goals: reached }, null, 2)}\n`);
  process.stdout.write(
    `${render(report, [...runs.keys()])}\n${renderGoals(reached)}\nAll figures: ${options.json}\n`,
  );
}

/** Cores that other programs keep busy while this one does nothing. */
async function lookAtHost(): Promise<number | null> {
  const load = new HostLoad();
  await setTimeout(LOOK_MILLISECONDS);
  return load.others();
}

/** One line that replaces itself, on terminals only. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

command.parse();
compare(command.opts<Options>()).catch((error: Error) => {
  process.stderr.write(`bench:peers: ${error.message}\n`);
  process.exitCode = 1;
});
