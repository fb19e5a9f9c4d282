import { PfError, Vector } from '../cpu/state.js';
import type { FatalSignal } from '../kernel/signal/deliver.js';
import { DESCRIPTIONS, SiCode, Signal, signalName } from '../kernel/signal/numbers.js';

const hex = (value: bigint): string => `0x${value.toString(16)}`;
const hex32 = (value: number): string => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;

const EXCEPTIONS: Readonly<Record<number, string>> = {
  [Vector.DE]: 'division error',
  [Vector.DB]: 'single step',
  [Vector.BP]: 'breakpoint',
  [Vector.OF]: 'overflow trap',
  [Vector.BR]: 'bound range exceeded',
  [Vector.UD]: 'invalid instruction',
  [Vector.NM]: 'no floating-point unit',
  [Vector.SS]: 'stack-segment fault',
  [Vector.GP]: 'general protection fault',
  [Vector.MF]: 'x87 exception',
  [Vector.AC]: 'misaligned access',
  [Vector.XM]: 'SSE exception',
};

/** What a shell says nothing about: the program was asked to end, or its reader has gone. */
const QUIET: readonly number[] = [Signal.INT, Signal.PIPE];

export interface DeathReport extends FatalSignal {
  readonly tid: number;
  readonly cpu: number;
  readonly symbol: string | null;
}

/** One line that says what killed a program and where; null for signals that a shell doesn't mention. */
export function describeDeath(program: string, death: DeathReport): string | null {
  if (QUIET.includes(death.signal) && death.vector < 0) return null;
  const name = signalName(death.signal);
  const meaning = DESCRIPTIONS[death.signal];
  const what = `${program}: killed by ${name}${meaning ? ` (${meaning})` : ''}`;
  const place = `RIP ${hex(death.rip)}${death.symbol ? ` (${death.symbol})` : ''}`;
  const where = `thread ${death.tid}, CPU ${death.cpu}`;
  if (death.vector < 0) {
    const sender = death.sender > 0 ? ` from process ${death.sender}` : '';
    return `${what}${sender}, at ${place}, ${where}`;
  }
  return `${what}: ${cause(death)}, ${place}, ${where}`;
}

function cause(death: DeathReport): string {
  if (death.vector !== Vector.PF) return EXCEPTIONS[death.vector] ?? `exception ${death.vector}`;
  const { errorCode } = death;
  const access = errorCode & PfError.fetch ? 'fetch' : errorCode & PfError.write ? 'write' : 'read';
  if (death.code === SiCode.SEGV_PKUERR) {
    return `${access} of ${hex(death.address)} denied by protection key ${death.pkey}, PKRU ${hex32(death.pkru)}`;
  }
  const mapped = death.code === SiCode.SEGV_MAPERR ? 'not mapped' : 'not permitted';
  return `${access} of ${hex(death.address)}, ${mapped}`;
}
