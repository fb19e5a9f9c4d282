import { Mnemonic } from 'iced-x86';
import { Gpr, Vector } from '../../cpu/state.js';
import { Op } from '../../wasm/opcodes.js';
import type { Emitter } from '../emitter.js';
import type { Row } from '../row.js';

/** NOP and hints, RDPKRU and WRPKRU, PUSHF and POPF. */

function nothing(): void {}

/** ECX (and EDX for WRPKRU) must be 0: SDM vol. 2, RDPKRU, WRPKRU. */
function requireZero(e: Emitter, register: number): void {
  e.c.get(e.gpr(register)).op(Op.i32_wrap_i64);
  e.raiseIf(Vector.GP);
}

function rdpkru(e: Emitter): void {
  requireZero(e, Gpr.rcx);
  e.readPkru();
  e.c.op(Op.i64_extend_i32_u).set(e.gprW(Gpr.rax));
  e.c.i64(0).set(e.gprW(Gpr.rdx));
}

function wrpkru(e: Emitter): void {
  requireZero(e, Gpr.rcx);
  requireZero(e, Gpr.rdx);
  e.c.get(e.gpr(Gpr.rax)).op(Op.i32_wrap_i64);
  e.writePkru();
}

export const rows: readonly Row[] = [
  { mnemonic: Mnemonic.Nop, lower: nothing },
  { mnemonic: Mnemonic.Endbr64, lower: nothing },
  { mnemonic: Mnemonic.Endbr32, lower: nothing },
  { mnemonic: Mnemonic.Pause, lower: nothing },
  { mnemonic: Mnemonic.Reservednop, lower: nothing },
  { mnemonic: Mnemonic.Prefetcht0, lower: nothing },
  { mnemonic: Mnemonic.Prefetcht1, lower: nothing },
  { mnemonic: Mnemonic.Prefetcht2, lower: nothing },
  { mnemonic: Mnemonic.Prefetchnta, lower: nothing },
  { mnemonic: Mnemonic.Prefetchw, lower: nothing },
  { mnemonic: Mnemonic.Rdpkru, lower: rdpkru, mayRaise: true },
  { mnemonic: Mnemonic.Wrpkru, lower: wrpkru, mayRaise: true },
];
