import Table from 'cli-table3';
import pc from 'picocolors';
import type { GuestRecord } from './records.js';
import type { Stats } from './stats.js';

/** What `npm start` shows of one run of src/guests/demo.c. */
export interface DemoRun {
  readonly records: readonly GuestRecord[];
  readonly stats: Stats;
  readonly abi: string;
  readonly debugFpu: boolean;
}

/** Rotating colours: a thread has the same one in every table. */
const COLOURS = [pc.cyan, pc.yellow, pc.green, pc.magenta, pc.blue, pc.red] as const;

const count = (value: number | string): string => Number(value).toLocaleString('en-US');

const threadColour = (thread: string) => COLOURS[Number(thread) % COLOURS.length];

const threadName = (thread: string): string => threadColour(thread)(`thread ${thread}`);

function table(head: readonly string[], rightFrom: number): Table.Table {
  return new Table({
    head: head.map((title) => pc.bold(title)),
    colAligns: head.map((_, i) => (i < rightFrom ? 'left' : 'right')),
    style: { head: [], border: pc.isColorSupported ? ['gray'] : [], compact: true },
  });
}

/** The whole report, ending with a newline. */
export function demoReport(run: DemoRun): string {
  const parts = [
    heading(run),
    section(
      'The threads',
      'each owns a protection key and a page; PKRU keeps all other pages shut',
      threads(run),
    ),
    section(
      'Caught',
      'the first forbidden accesses of each thread, as its SIGSEGV handler saw them',
      faults(run),
    ),
    section(
      'The CPUs',
      'rounds of each thread t0, t1 … on it: threads are preempted and migrate, and their PKRU goes with them',
      cpus(run),
    ),
    verdict(run),
    next(),
  ];
  return `${parts.join('\n\n')}\n`;
}

function events(run: DemoRun, event: string): GuestRecord[] {
  return run.records.filter((record) => record.event === event);
}

function heading({ records, stats, abi, debugFpu }: DemoRun): string {
  const start = records.find((record) => record.event === 'start');
  const clear = debugFpu ? ', clearing key 14 at every context switch' : '';
  return [
    pc.bold('Europa: memory protection keys on emulated CPUs'),
    pc.dim(
      `${start?.threads ?? '?'} threads on ${stats.cpus.length} CPUs, ABI '${abi}'${clear}; ` +
        `${count(stats.cpus.reduce((sum, cpu) => sum + cpu.instructions, 0))} instructions in ${stats.wallSeconds.toFixed(2)} s`,
    ),
  ].join('\n');
}

function section(title: string, explanation: string, body: string): string {
  return `${pc.bold(title)} ${pc.dim(`· ${explanation}`)}\n${body}`;
}

function threads(run: DemoRun): string {
  const t = table(
    [
      '',
      'key',
      'page',
      'domain switches',
      'faults caught',
      'migrations',
      'key 14 cleared',
      'PKRU at the end',
    ],
    1,
  );
  for (const r of events(run, 'thread')) {
    t.push([
      threadName(r.thread),
      r.key,
      r.page,
      count(r.switches),
      count(r.faults),
      count(r.migrations),
      count(r['key14-cleared']),
      r.pkru,
    ]);
  }
  return t.toString();
}

function faults(run: DemoRun): string {
  const t = table(['', 'CPU', 'access', 'address', 'page of', 'key', 'PKRU', 'error code'], 1);
  const caught = events(run, 'fault').sort((a, b) => Number(a.thread) - Number(b.thread));
  for (const r of caught) {
    t.push([threadName(r.thread), r.cpu, r.access, r.addr, threadName(r.owner), r.key, r.pkru, r.error]);
  }
  return t.toString();
}

function cpus(run: DemoRun): string {
  const visits = events(run, 'visit');
  const names = [...new Set(visits.map((visit) => visit.thread))].sort((a, b) => Number(a) - Number(b));
  const titles = names.map((name) => threadColour(name)(`t${name}`));
  const t = table(['', ...titles, 'context switches', 'key faults', 'instructions'], 1);
  for (const cpu of run.stats.cpus) {
    const rounds = names.map((name) => {
      const visit = visits.find((v) => v.thread === name && Number(v.cpu) === cpu.id);
      return visit ? count(visit.rounds) : pc.dim('·');
    });
    t.push([
      `CPU ${cpu.id}`,
      ...rounds,
      count(cpu.contextSwitches),
      count(cpu.pkeyFaults),
      count(cpu.instructions),
    ]);
  }
  return t.toString();
}

function verdict(run: DemoRun): string {
  const done = run.records.find((record) => record.event === 'done');
  if (!done) return pc.red('The program did not come to its end.');
  const { switches, cleared } = run.stats.key14;
  const lines = [
    done.ok === '1'
      ? pc.green(
          `✓ ${count(done.faults)} of ${count(done.faults)} forbidden accesses were caught, each with the right address, key and PKRU; ` +
            `${count(done.switches)} domain switches, none leaked to another thread.`,
        )
      : pc.red(`✗ ${count(done.wrong)} observations were wrong.`),
  ];
  if (run.debugFpu) {
    lines.push(
      `  The scheduler performed ${count(switches)} context switches and cleared key 14's bits in ${count(cleared)} of them.`,
    );
  }
  return lines.join('\n');
}

function next(): string {
  const commands: readonly (readonly [string, string])[] = [
    ['npx europa run --cpus 4 ./your-program', 'run a static x86-64 Linux program of your own'],
    [
      'npx europa run --cpus 4 --abi minimal src/guests/bin/demo 8 100',
      'this program again, 8 threads, 100 rounds',
    ],
    ['npx europa run --strace src/guests/bin/demo 2 1', 'every system call that it makes'],
    ['npx europa --help', 'everything else'],
  ];
  const width = Math.max(...commands.map(([command]) => command.length));
  return [
    pc.bold('What to type next'),
    ...commands.map(([command, what]) => `  ${pc.cyan(command.padEnd(width))}  ${pc.dim(what)}`),
  ].join('\n');
}
