import { SymbolTable } from '../loader/symbols.js';
import type { SeededMachine } from './seeded-machine.js';
import type { TraceStep } from './trace.js';

/** Steps shown of a run: those around switches, so many before and after each. */
const AROUND = 6;

/** A run as text, a line a step that other threads can see. */
export function describeTrace(machine: SeededMachine, trace: readonly TraceStep[], whole = false): string[] {
  const symbols = new SymbolTable(machine.options.path, machine.base);
  const seen = trace.filter((step) => step.visible);
  const near = (i: number) =>
    whole || seen.slice(Math.max(0, i - AROUND), i + AROUND + 1).some(({ kind }) => kind === 'switch');
  const lines: string[] = [];
  let hidden = 0;
  seen.forEach((step, i) => {
    if (!near(i)) {
      hidden++;
      return;
    }
    if (hidden > 0) lines.push(`  … ${hidden} more`);
    hidden = 0;
    lines.push(describe(machine, symbols, step));
  });
  if (hidden > 0) lines.push(`  … ${hidden} more`);
  return lines;
}

function describe(machine: SeededMachine, symbols: SymbolTable, step: TraceStep): string {
  const { kind, thread, cpu, rip, address, size, value, key, pkru } = step;
  if (kind === 'switch') return `── thread ${thread} → thread ${address} ──`;
  if (kind === 'commit') {
    return `  thread ${thread}  cpu ${cpu}  store buffer: ${symbols.describe(address) ?? hex(address)} ← ${hex(value)} is visible to all`;
  }
  const where = symbols.describe(rip) ?? hex(rip);
  const head = `  thread ${thread}  cpu ${cpu}  ${where.padEnd(24)} `;
  const rights = `pkru ${hex(pkru, 8)}`;
  switch (kind) {
    case 'load':
    case 'store':
    case 'locked': {
      const target = symbols.describe(address) ?? hex(address);
      const arrow = kind === 'load' ? '→' : kind === 'store' ? '←' : '↔';
      const text = machine.disassemble(rip);
      const content = size <= 8 ? hex(value) : `${size} bytes`;
      return `${head}${text.padEnd(34)} ${target} ${arrow} ${content}  key ${key}  ${rights}`;
    }
    case 'syscall':
      return `${head}system call ${address}  ${rights}`;
    case 'exception':
      return `${head}${machine.disassemble(rip).padEnd(34)} exception ${address}  ${rights}`;
  }
  return `${head}${machine.disassemble(rip).padEnd(34)} ${rights}`;
}

function hex(value: number | bigint, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}
