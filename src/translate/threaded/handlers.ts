import { CpuState, Exit, JUMP_ENTRIES, JumpEntry } from '../../cpu/state.js';
import { Code } from '../../wasm/code.js';
import { ModuleWriter } from '../../wasm/module.js';
import { Op, Type } from '../../wasm/opcodes.js';
import { HELPERS, type HelperName } from '../helpers.js';
import type { Insn } from '../insn.js';
import { rowOf } from '../table.js';
import { writeBody } from './block-writer.js';
import { HandlerEmitter } from './handler-emitter.js';
import { findHandler, type Handler, overlap } from './handler-index.js';
import { NotedTargets, Step, TARGETS_NOTED, ThreadedBlock, ThreadedInsn } from './layout.js';
import { nextAddress } from './next-address.js';
import { isThreadable, representative, shapeKey, VARIANTS, virtualRegisters } from './shape.js';

/** What the handlers' module exports. */
export interface HandlerExports {
  /** (cpu) -> Exit: runs the threaded block at CpuState.rip, and what follows it, regions included. In the engine's table too. */
  interpret(cpu: number): number;
  /** (cpu, ThreadedInsn) -> Exit: runs one instruction and returns. */
  single(cpu: number, insn: number): number;
  /** See `writeBody`. */
  write(block: number, pointer: number, room: number, mask: number, most: number, table: number): number;
}

/** A built module of handlers; `index` can be written as JSON. */
export interface HandlerModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly index: readonly (readonly [string, Handler])[];
}

/** Index of the handler that goes on at `next`: for blocks that end because they are long, or in front of something else. */
export const GO_ON = 0;

/** Writes a module with a handler for the shape of each instruction it is given. */
export class HandlerBuilder {
  private readonly helpers: HelperName[] = [];
  private readonly bodies = [goOn()];
  private readonly unlikely: (readonly number[])[] = [[]];
  private readonly index = new Map<string, Handler>();

  /** Makes sure that there is a handler for an instruction, in the most general variant. @returns its shape; null if it can have none */
  add(insn: Insn): string | null {
    const row = rowOf(insn);
    if (!row || !isThreadable(insn)) return null;
    const registers = virtualRegisters(insn);
    const known = findHandler(this.index, insn, registers);
    if (known) return shapeKey(insn, known.variant, registers);
    for (const variant of VARIANTS) {
      // A lowering that looks at a value cannot leave it open; what it imported stays imported.
      let immediateRead = false;
      const emitter = new HandlerEmitter(this.helpers, variant.immediate);
      const shape = representative(insn, variant, registers, () => {
        immediateRead = true;
      });
      emitter.instruction(shape, row);
      const { fixedGprs, fixedXmms } = emitter;
      if (immediateRead || (variant.registers && overlap(registers, fixedGprs, fixedXmms))) continue;
      const key = shapeKey(insn, variant, registers);
      this.index.set(key, { index: this.bodies.length, fixedGprs, fixedXmms });
      this.bodies.push(emitter.finish());
      this.unlikely.push(emitter.c.unlikelyBranches);
      return key;
    }
    return null;
  }

  finish(): HandlerModule {
    const m = new ModuleWriter();
    for (const name of this.helpers) m.importFunc('h', name, HELPERS[name].params, HELPERS[name].results);
    m.importMemory('e', 'm');
    m.importTable('e', 't');
    m.importGlobal('e', 'p', Type.i32);
    const functions = this.bodies.map((body, i) =>
      m.func([Type.i32, Type.i32], [Type.i32], body, this.unlikely[i]),
    );
    const table = m.functionTable(functions);
    const handler = m.type([Type.i32, Type.i32], [Type.i32]);
    const region = m.type([Type.i32], [Type.i32]);
    m.export('interpret', m.func([Type.i32], [Type.i32], interpretBody(table, handler, region)));
    m.export('single', m.func([Type.i32, Type.i32], [Type.i32], singleBody(table, handler)));
    const six = [Type.i32, Type.i32, Type.i32, Type.i32, Type.i32, Type.i32];
    m.export('write', m.func(six, [Type.i32], writeBody()));
    return { bytes: m.finish(), index: [...this.index] };
  }
}

function goOn(): Uint8Array {
  const c = new Code(2);
  c.get(0);
  nextAddress(c, 1);
  c.mem(Op.i64_store, CpuState.rip);
  c.i32(Step.jump);
  return c.finish();
}

/** Puts RIP back to the instruction at `insn`, which has not been executed. */
function putBack(c: Code, cpu: number, insn: number): void {
  c.get(cpu).get(insn).mem(Op.i64_load, ThreadedInsn.ip).mem(Op.i64_store, CpuState.rip);
}

/** Takes the instruction at `insn` and what follows in its block off the count. */
function uncount(c: Code, cpu: number, block: number, insn: number): void {
  c.get(cpu).get(cpu).mem(Op.i32_load, CpuState.budget);
  c.get(block).mem(Op.i32_load, ThreadedBlock.count).op(Op.i32_add);
  c.get(insn).get(block).op(Op.i32_sub).i32(ThreadedBlock.size).op(Op.i32_sub);
  c.i32(ThreadedInsn.size).op(Op.i32_div_u).op(Op.i32_sub).mem(Op.i32_store, CpuState.budget);
}

/**
 * interpret(cpu): from block to block through the jump cache, as regions chain; the safe point is each block's beginning. Every exit
 * leaves RIP where to go on.
 */
function interpretBody(table: number, handler: number, region: number): Uint8Array {
  const cpu = 0;
  const c = new Code(1);
  const entry = c.local(Type.i32);
  const at = c.local(Type.i32);
  const step = c.local(Type.i32);
  const budget = c.local(Type.i32);
  const block = c.local(Type.i32);
  const blocks = c.loop();
  c.get(cpu).mem(Op.i32_load, CpuState.rip);
  c.i32(JUMP_ENTRIES - 1)
    .op(Op.i32_and)
    .i32(Math.log2(JumpEntry.size))
    .op(Op.i32_shl)
    .get(cpu)
    .op(Op.i32_add)
    .tee(entry);
  c.mem(Op.i64_load, CpuState.jumps + JumpEntry.rip)
    .get(cpu)
    .mem(Op.i64_load, CpuState.rip)
    .op(Op.i64_ne);
  c.if().i32(Exit.next).ret().end();
  c.get(entry)
    .mem(Op.i32_load, CpuState.jumps + JumpEntry.block)
    .tee(at)
    .op(Op.i32_eqz);
  c.if();
  c.get(cpu)
    .get(entry)
    .mem(Op.i32_load, CpuState.jumps + JumpEntry.slot)
    .returnCallIndirect(region);
  c.end();
  c.get(cpu).mem(Op.i32_load, CpuState.budget).tee(budget);
  c.get(cpu).mem(Op.i32_load, CpuState.interrupt).op(Op.i32_or).i32(0).op(Op.i32_lt_s);
  c.if().i32(Exit.interrupt).ret().end();
  c.get(at).get(at).mem(Op.i32_load, ThreadedBlock.heat).i32(1).op(Op.i32_sub).tee(step);
  c.mem(Op.i32_store, ThreadedBlock.heat).get(step).i32(0).op(Op.i32_lt_s);
  c.if().i32(Exit.promote).ret().end();
  c.get(cpu).get(budget).get(at).mem(Op.i32_load, ThreadedBlock.count).op(Op.i32_sub);
  c.mem(Op.i32_store, CpuState.budget);
  c.get(at).tee(block).i32(ThreadedBlock.size).op(Op.i32_add).set(at);
  const insns = c.loop();
  c.get(cpu)
    .get(at)
    .get(at)
    .mem(Op.i32_load16_u, ThreadedInsn.handler)
    .callIndirect(handler, table)
    .tee(step);
  c.op(Op.i32_eqz);
  c.if().get(at).i32(ThreadedInsn.size).op(Op.i32_add).set(at).br(insns).end();
  c.get(step).i32(Step.jump).op(Op.i32_eq);
  c.if();
  c.get(block).mem(Op.i32_load, ThreadedBlock.targets).tee(block).op(Op.i32_eqz).brIf(blocks);
  c.get(block).mem(Op.i32_load, NotedTargets.seen).tee(step);
  c.i32(TARGETS_NOTED - 1)
    .op(Op.i32_and)
    .i32(3)
    .op(Op.i32_shl)
    .get(block)
    .op(Op.i32_add);
  c.get(cpu).mem(Op.i64_load, CpuState.rip).mem(Op.i64_store, NotedTargets.targets);
  c.get(block).get(step).i32(1).op(Op.i32_add).mem(Op.i32_store, NotedTargets.seen);
  c.br(blocks);
  c.end();
  c.get(step).i32(Step.left).op(Op.i32_eq);
  c.if();
  putBack(c, cpu, at);
  uncount(c, cpu, block, at);
  c.end();
  c.get(cpu).mem(Op.i32_load, CpuState.exit).ret();
  c.end();
  c.end();
  c.op(Op.unreachable);
  return c.finish();
}

function singleBody(table: number, handler: number): Uint8Array {
  const [cpu, insn] = [0, 1];
  const c = new Code(2);
  const step = c.local(Type.i32);
  const spend = (count: number) => {
    c.get(cpu).get(cpu).mem(Op.i32_load, CpuState.budget);
    c.i32(count).op(Op.i32_sub).mem(Op.i32_store, CpuState.budget);
  };
  spend(1);
  c.get(cpu)
    .get(insn)
    .get(insn)
    .mem(Op.i32_load16_u, ThreadedInsn.handler)
    .callIndirect(handler, table)
    .tee(step);
  c.i32(Step.left).op(Op.i32_ge_u);
  c.if();
  c.get(step).i32(Step.left).op(Op.i32_eq);
  c.if();
  putBack(c, cpu, insn);
  spend(-1);
  c.end();
  c.get(cpu).mem(Op.i32_load, CpuState.exit).ret();
  c.end();
  c.get(step).op(Op.i32_eqz);
  c.if().get(cpu);
  nextAddress(c, insn);
  c.mem(Op.i64_store, CpuState.rip).end();
  c.i32(Exit.next);
  return c.finish();
}
