import { ListedSchedule } from '../scheduler/seeded/listed.js';
import { SymbolTable } from '../loader/symbols.js';
import { describeTrace } from './interleaving.js';
import type { RunOutcome } from './options.js';
import { RecordedHost } from './recorded-host.js';
import { readReplay } from './replay-file.js';
import type { ThreadState } from './inspection.js';
import { SeededMachine } from './seeded-machine.js';
import { describeFailure } from './stress.js';
import type { TraceStep } from './trace.js';

export interface ReplayRequest {
  readonly file: string;
  readonly times: number;
  /** Print every switch and every step that other threads can see. */
  readonly trace: boolean;
  readonly strace: boolean;
  /** Stop after so many steps and show the threads. */
  readonly until?: number;
}

export interface ReplayReport {
  readonly outcome: RunOutcome;
  /** Whether every run had the trace of the recorded one. */
  readonly same: boolean;
  readonly lines: readonly string[];
}

/** Makes a recorded run again. @throws UsageError, LoadError, HostRefusal */
export function runReplay({ file, times, trace, strace, until }: ReplayRequest): ReplayReport {
  const replay = readReplay(file);
  const machine = new SeededMachine(replay.options, strace, new RecordedHost(replay.host, true));
  machine.boot();
  machine.learn();
  machine.quiet = false;
  if (until !== undefined) machine.until = until;
  const schedule = new ListedSchedule(replay.decisions);
  let outcome!: RunOutcome;
  let same = true;
  let steps: TraceStep[] = [];
  for (let i = 0; i < times; i++) {
    steps = [];
    outcome = machine.run(schedule, 0, trace ? steps : null)!;
    if (outcome.traceHash !== replay.outcome.traceHash) same = false;
  }
  const lines: string[] = [];
  if (trace) lines.push(...describeTrace(machine, steps, true));
  if (until !== undefined) {
    lines.push(`stopped after step ${outcome.steps}`);
    const symbols = new SymbolTable(machine.options.path, machine.base);
    for (const thread of machine.inspect()) lines.push(...describeThread(thread, symbols));
    return { outcome, same: true, lines };
  }
  if (outcome.output !== '') lines.push(outcome.output.trimEnd());
  lines.push(`${describeFailure({ outcome })}, ${outcome.switches} switches, trace ${outcome.traceHash}`);
  if (!same) lines.push(`the trace is not the recorded one (${replay.outcome.traceHash})`);
  return { outcome, same, lines };
}

function describeThread(
  { thread, cpu, rip, pkru, registers, stack }: ThreadState,
  symbols: SymbolTable,
): string[] {
  const hex = (value: bigint | number, digits: number) => `0x${value.toString(16).padStart(digits, '0')}`;
  const lines = [
    `thread ${thread} on CPU ${cpu} at ${symbols.describe(Number(rip)) ?? hex(rip, 1)}, PKRU ${hex(pkru, 8)}`,
  ];
  const pairs = Object.entries(registers).map(([name, value]) => `${name.padEnd(3)} ${hex(value, 16)}`);
  for (let i = 0; i < pairs.length; i += 4) lines.push(`  ${pairs.slice(i, i + 4).join('  ')}`);
  const rsp = registers.rsp;
  stack.forEach((word, i) => {
    const symbol = symbols.describe(Number(word));
    lines.push(`  [${hex(rsp + 8n * BigInt(i), 12)}] ${hex(word, 16)}${symbol ? `  ${symbol}` : ''}`);
  });
  return lines;
}
