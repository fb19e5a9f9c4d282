import { Exit } from '../cpu/state.js';
import type { Label } from '../wasm/code.js';
import { ModuleWriter } from '../wasm/module.js';
import { Op, Type } from '../wasm/opcodes.js';
import { CpuState } from '../cpu/state.js';
import { type AccessGroup, groupAccesses, type RecordedAccess } from './access-groups.js';
import { Emitter } from './emitter.js';
import { RegionEmitter } from './region-emitter.js';
import { HELPERS, type HelperName } from './helpers.js';
import type { Insn } from './insn.js';
import { type Block, dominates, type Region } from './region.js';
import { RegisterFlow } from './register-flow.js';
import { RegisterSet, type RegisterUsage } from './register-usage.js';
import type { Flow } from './row.js';
import { rowOf } from './table.js';

export interface RegionOptions {
  /** Whether the region may jump straight into others; otherwise it returns to its caller. */
  readonly chain: boolean;
  /** The flavour of seeded mode: every access to guest memory is a call. */
  readonly seeded: boolean;
  /** Pointer of the only CPU that will run it; null: several do. */
  readonly cpu: number | null;
  /** See Emitter. */
  readonly exactSoFar: boolean;
}

/**
 * Emits a region as a WebAssembly module that exports its function as 'r': (cpu) -> Exit.
 *
 * The control-flow graph becomes nested wasm blocks and loops along its dominator tree (Ramsey, "Beyond Relooper", 2022):
 * a block is emitted inside its dominator's code; loop headers open a loop; blocks with several forward predecessors
 * follow a wasm block that those predecessors branch out of. An edge that enters a loop from the side (irreducible)
 * becomes an exit of the region, which is always correct.
 *
 * One region a module: taking along what a cold region calls (several functions a module) was measured to be slower.
 *
 */
export function emitRegion(
  region: Region,
  { chain, seeded, cpu, exactSoFar }: RegionOptions,
): Uint8Array<ArrayBuffer> {
  // What an exit stores depends on what blocks write that are emitted later, and a look-up on later accesses: a draft finds out.
  const emitter = (helpers: HelperName[]) => {
    const e = new RegionEmitter(region.entry, helpers, seeded, cpu);
    e.exactSoFar = exactSoFar;
    return e;
  };
  const draft = emitter([]);
  const written = new RegionWriter(draft, region, null).write();
  const { src2Used, overUsed } = draft;
  draft.c.recycle();
  const plan: Plan = {
    flow: new RegisterFlow(region, written.usages),
    groups: new Map([...written.accesses].map(([block, accesses]) => [block, groupAccesses(accesses)])),
  };
  const helpers: HelperName[] = [];
  const e = emitter(helpers);
  e.src2Used = src2Used;
  e.overUsed = overUsed;
  new RegionWriter(e, region, plan).write();
  const body = e.finish(chain, plan.flow.loads);
  const m = new ModuleWriter();
  m.type([Type.i32], [Type.i32]); // type 0: what return_call_indirect in the chain expects
  for (const name of helpers) m.importFunc('h', name, HELPERS[name].params, HELPERS[name].results);
  m.importMemory('e', 'm');
  m.importTable('e', 't');
  m.importGlobal('e', 'p', Type.i32);
  m.export('r', m.func([Type.i32], [Type.i32], body, e.c.unlikelyBranches));
  const bytes = m.finish();
  e.c.recycle();
  return bytes;
}

/** What is known about the lazy flags at the end of a block, for the only successor that can use it. */
type KnownFlags = Emitter['cc'];

/** What a draft of a region has told. */
interface Plan {
  readonly flow: RegisterFlow;
  readonly groups: ReadonlyMap<Block, readonly (AccessGroup | null)[]>;
}

class RegionWriter {
  /** Wasm labels to branch to: of a loop header's loop, and of the block that a merge block follows. */
  private readonly loops = new Map<Block, Label>();
  private readonly merges = new Map<Block, Label>();

  readonly usages = new Map<Block, RegisterUsage>();
  readonly accesses = new Map<Block, readonly RecordedAccess[]>();

  constructor(
    private readonly e: RegionEmitter,
    private readonly region: Region,
    private readonly plan: Plan | null,
  ) {}

  /** @returns what each block does with registers and memory */
  write(): {
    usages: ReadonlyMap<Block, RegisterUsage>;
    accesses: ReadonlyMap<Block, readonly RecordedAccess[]>;
  } {
    this.tree(this.region.entryBlock);
    return this;
  }

  /** Emits a block and everything it dominates. */
  private tree(block: Block, flags: KnownFlags = null): void {
    const { c } = this.e;
    const merges = block.dominated.filter((b) => b.isMerge).sort((a, b) => b.order - a.order);
    if (block.isLoopHeader) {
      this.loops.set(block, c.loop());
      // The loop's back edges bring flags of their own.
      this.within(block, merges, null);
      c.end();
    } else this.within(block, merges, flags);
  }

  /** Emits a block inside the wasm blocks of the merge blocks that it dominates, each followed by its merge block. */
  private within(block: Block, merges: Block[], flags: KnownFlags): void {
    const [last, ...rest] = merges;
    if (!last) {
      this.code(block, flags);
      return;
    }
    this.merges.set(last, this.e.c.block());
    this.within(block, rest, flags);
    this.e.c.end();
    this.tree(last);
  }

  /**
   * The safe point of a loop: leaves when the budget is used up or an interrupt is pending. It is where the loop goes back, not at its
   * header: what is known of the flags there need not be carried into the next iteration for it.
   */
  private checkBudget(header: Block): void {
    const { e } = this;
    const c = e.c;
    c.get(e.budgetLocal)
      .get(Emitter.CPU)
      .mem(Op.i32_load, CpuState.interrupt)
      .op(Op.i32_or)
      .i32(0)
      .op(Op.i32_lt_s)
      .unlikely();
    c.if();
    e.exitStatus(Exit.interrupt, header.start);
    c.end();
  }

  private dirtyAt(block: Block): RegisterSet {
    return this.plan?.flow.dirtyAt(block).copy() ?? new RegisterSet();
  }

  private code(block: Block, flags: KnownFlags): void {
    const { e } = this;
    const c = e.c;
    const { insns } = block;
    const dead = deadFlags(insns);
    e.beginBlock(this.dirtyAt(block), this.plan?.groups.get(block) ?? []);
    this.usages.set(block, e.usage);
    this.accesses.set(block, e.accesses);
    e.cc = flags;
    c.get(e.budgetLocal).i32(insns.length).op(Op.i32_sub).set(e.budgetLocal);
    for (let i = 0; i < insns.length; i++) {
      const insn = insns[i];
      const row = rowOf(insn);
      e.begin(insn, insns.length - i);
      e.flagsDead = dead[i];
      if (row?.lower) {
        row.lower(e, insn);
        e.finishInsn();
        continue;
      }
      if (row?.end) row.end(e, insn, this.ends(block));
      else e.leave(row?.execute ? Exit.execute : Exit.unimplemented);
      e.finishInsn();
      return;
    }
    this.goto(block, insns[insns.length - 1].next);
  }

  private ends(block: Block): Flow {
    const { e } = this;
    return {
      jump: (target) => this.goto(block, target),
      branch: (taken, otherwise) => {
        e.settle();
        const here = e.position;
        e.c.if();
        this.goto(block, taken);
        e.c.else();
        e.resume(here);
        this.goto(block, otherwise);
        e.c.end();
      },
      indirect: () => this.indirect(block),
      status: (exit, target) => {
        e.settle();
        e.exitStatus(exit, target);
      },
    };
  }

  /** Goes to the address on the stack: one of the block's known successors (returns of inlined calls), or anywhere. */
  private indirect(block: Block): void {
    const { e } = this;
    e.settle();
    const here = e.position;
    const target = e.toTemp(Type.i64);
    for (const successor of block.successors) {
      if (!this.region.blocks.has(successor)) continue;
      e.c.get(target).i64(successor).op(Op.i64_eq).if();
      this.goto(block, successor);
      e.c.end();
      e.resume(here);
    }
    e.c.get(target);
    e.exitIndirect();
  }

  /** An edge of the graph: a wasm branch, the target's code itself, or an exit. */
  private goto(from: Block, target: number): void {
    const { e } = this;
    e.settle();
    // A call's target may be a block of the region without there being an edge: the graph then knows nothing of it.
    const to = from.successors.includes(target) ? this.region.blocks.get(target) : undefined;
    if (!to || to.order < 0) e.exitTo(target);
    else if (to.order <= from.order) {
      if (dominates(to, from)) {
        this.checkBudget(to);
        e.c.br(this.loops.get(to)!);
      } else e.exitTo(target);
    } else if (to.isMerge) e.c.br(this.merges.get(to)!);
    else this.tree(to, e.cc);
  }
}

/**
 * For each instruction of a block, whether the flags it writes are overwritten before anything can see them.
 * Anything that may leave the region sees them: memory accesses, exceptions, the block's end.
 */
function deadFlags(insns: readonly Insn[]): boolean[] {
  const dead: boolean[] = new Array(insns.length).fill(false);
  let overwritten = false;
  for (let i = insns.length - 1; i >= 0; i--) {
    const insn = insns[i];
    const row = rowOf(insn);
    dead[i] = overwritten;
    if (!row?.lower || insn.flagsRead || insn.mem || row.mayRaise) overwritten = false;
    else if (row.killsFlags) overwritten = true;
  }
  return dead;
}
