import { FlowControl, flowOf } from './flow-control.js';
import type { Insn } from './insn.js';

/** A basic block: instructions that run one after the other; only the last may transfer control. */
export interface Block {
  readonly start: number;
  readonly insns: Insn[];
  /** Addresses that follow within the region's instructions, known statically; others are exits. */
  successors: number[];
  /** Reverse postorder number; -1 while unreachable. */
  order: number;
  /** Immediate dominator; null for the entry. */
  dominator: Block | null;
  /** Blocks that this one immediately dominates. */
  readonly dominated: Block[];
  readonly predecessors: Block[];
  isLoopHeader: boolean;
  /** Reached by more than one forward edge: emitted behind a wasm block that those edges branch out of. */
  isMerge: boolean;
}

/**
 * How far a region grows. Code that may run once gets little ones that end at calls, since compiling costs more than
 * running them; a region found hot is grown again, through direct calls and their returns.
 */
export interface Growth {
  readonly insns: number;
  readonly throughCalls: boolean;
}

export const COLD: Growth = { insns: 100, throughCalls: false };
export const HOT: Growth = { insns: 500, throughCalls: true };
/** Code that has run as threaded code before: only what was then seen to run, and so through calls at once. */
export const PROFILED: Growth = { insns: 300, throughCalls: true };
export const SINGLE: Growth = { insns: 1, throughCalls: false };

/** What is known of how code has run. */
export interface Profile {
  /**
   * Whether the code at an address is worth having in the region.
   * @param elsewhere whether it is another function, as far as one can tell: called, returned to, or the target of an indirect jump
   */
  warm(ip: number, elsewhere: boolean): boolean;
  /** Where the indirect jump, call or return at an address has gone, and which part of the times; commonest first. */
  targets(ip: number): readonly { readonly target: number; readonly share: number }[];
}

const UNKNOWN: Profile = { warm: () => true, targets: () => [] };

/**
 * The part of the times that an indirect call or a return must have gone to a place for it to be compared with that; an indirect jump is
 * compared with all places that are known. Returns of functions with several callers would make regions of everything.
 */
const SHARES = { call: 0.25, return: 0.85 } as const;

/** A RET compares the address it pops with so many known ones before it looks it up. */
const MAX_RETURN_SITES = 4;

export interface Region {
  readonly entry: number;
  readonly blocks: Map<number, Block>;
  readonly entryBlock: Block;
  /** Whether growing it again without limits would find no more: no direct call ends a block, nothing was cut off. */
  readonly complete: boolean;
  /** Number of its instructions. */
  readonly insns: number;
  /** Virtual page numbers that the region's instructions lie in. */
  readonly pages: Set<number>;
}

/**
 * Finds the basic blocks reachable from `entry` by direct jumps.
 * @param fetch decodes the instruction at an address; null if it cannot be fetched or is no instruction
 * @param profile what is known of how the code has run
 * @returns null if not even the first instruction can be fetched
 */
export function discover(
  entry: number,
  fetch: (ip: number) => Insn | null,
  growth: Growth,
  profile: Profile = UNKNOWN,
): Region | null {
  const insns = new Map<number, Insn>();
  /** Entry address of the function that a leader belongs to, as seen from the call that led there. */
  const leaders = new Map<number, number>([[entry, entry]]);
  /** Where a function returns to within the region: after each call to it that the region contains. */
  const returnSites = new Map<number, number[]>();
  /** Functions that a call leads to within the region, by the call's address. */
  const callees = new Map<number, readonly number[]>();
  /** Where other indirect jumps have gone, by their address. */
  const indirect = new Map<number, readonly number[]>();
  /** Function of each RET, by its address. */
  const returns = new Map<number, number>();
  let calls = false;
  const queue = [entry];
  const pages = new Set<number>();
  /** @returns whether the address is one at which a block begins */
  const lead = (address: number, callee: number, elsewhere = false): boolean => {
    if (leaders.has(address)) return true;
    if (!profile.warm(address, elsewhere)) return false;
    leaders.set(address, callee);
    queue.push(address);
    return true;
  };
  for (let head = 0; head < queue.length && insns.size < growth.insns; head++) {
    let ip = queue[head];
    const callee = leaders.get(ip)!;
    while (!insns.has(ip) && insns.size < growth.insns) {
      const insn = fetch(ip);
      if (!insn) break;
      insns.set(ip, insn);
      pages.add(Math.floor(ip / 4096));
      pages.add(Math.floor((insn.next - 1) / 4096));
      const flow = flowOf(insn);
      if (flow.kind === FlowControl.next) {
        ip = insn.next;
        continue;
      }
      if (flow.kind === FlowControl.call) calls = true;
      for (const target of flow.targets) lead(target, callee);
      const seen = (least: number) =>
        profile
          .targets(ip)
          .filter(({ share }) => share >= least)
          .map(({ target }) => target);
      if (flow.kind === FlowControl.call) {
        if (!growth.throughCalls) break;
        for (const target of flow.indirect ? seen(SHARES.call) : [flow.callee!]) {
          const sites = returnSites.get(target) ?? [];
          if (sites.length >= MAX_RETURN_SITES || !lead(target, target, true)) continue;
          returnSites.set(target, [...sites, insn.next]);
          callees.set(ip, [...(callees.get(ip) ?? []), target]);
          lead(insn.next, callee);
        }
      } else {
        const isReturn = flow.kind === FlowControl.return;
        if (isReturn) returns.set(ip, callee);
        const where = flow.indirect ? seen(isReturn ? SHARES.return : 0) : [];
        // What a function that was entered from outside returns to belongs to no function that is known.
        for (const target of where) lead(target, isReturn ? target : callee, true);
        indirect.set(ip, where);
      }
      break;
    }
  }
  if (!insns.has(entry)) return null;

  const blocks = new Map<number, Block>();
  for (const start of leaders.keys()) {
    if (!insns.has(start)) continue;
    const block = newBlock(start);
    let insn = insns.get(start);
    while (insn) {
      block.insns.push(insn);
      const flow = flowOf(insn);
      if (flow.kind !== FlowControl.next) {
        block.successors = [...flow.targets];
        if (flow.kind === FlowControl.call) block.successors = [...(callees.get(insn.ip) ?? [])];
        const back = returnSites.get(returns.get(insn.ip) ?? -1) ?? [];
        const more = indirect.get(insn.ip) ?? [];
        block.successors = [...new Set([...block.successors, ...back, ...more])];
        break;
      }
      if (leaders.has(insn.next) || !insns.has(insn.next)) {
        block.successors = [insn.next];
        break;
      }
      insn = insns.get(insn.next);
    }
    blocks.set(start, block);
  }
  const entryBlock = blocks.get(entry)!;
  analyse(blocks, entryBlock);
  const complete = !calls && insns.size < growth.insns;
  return { entry, blocks, entryBlock, complete, insns: insns.size, pages };
}

function newBlock(start: number): Block {
  return {
    start,
    insns: [],
    successors: [],
    order: -1,
    dominator: null,
    dominated: [],
    predecessors: [],
    isLoopHeader: false,
    isMerge: false,
  };
}

/** Reverse postorder, dominators (Cooper, Harvey, Kennedy 2001), loop headers and merge blocks. */
function analyse(blocks: Map<number, Block>, entry: Block): void {
  const postorder: Block[] = [];
  const visited = new Set<Block>();
  // Iterative depth-first search: a region may be one long chain.
  const stack: { block: Block; next: number }[] = [{ block: entry, next: 0 }];
  visited.add(entry);
  while (stack.length) {
    const top = stack[stack.length - 1];
    if (top.next < top.block.successors.length) {
      const successor = blocks.get(top.block.successors[top.next++]);
      if (successor && !visited.has(successor)) {
        visited.add(successor);
        stack.push({ block: successor, next: 0 });
      }
    } else {
      postorder.push(top.block);
      stack.pop();
    }
  }
  const order = postorder.reverse();
  order.forEach((block, i) => {
    block.order = i;
  });
  for (const block of order)
    for (const target of new Set(block.successors)) {
      const successor = blocks.get(target);
      if (successor) successor.predecessors.push(block);
    }

  for (let changed = true; changed; ) {
    changed = false;
    for (const block of order) {
      if (block === entry) continue;
      let dominator: Block | null = null;
      for (const p of block.predecessors) {
        if (p !== entry && !p.dominator) continue;
        dominator = dominator ? intersect(dominator, p) : p;
      }
      if (block.dominator !== dominator) {
        block.dominator = dominator;
        changed = true;
      }
    }
  }
  for (const block of order) {
    if (block.dominator) block.dominator.dominated.push(block);
    let forward = 0;
    for (const p of block.predecessors) {
      if (p.order < block.order) forward++;
      else if (dominates(block, p)) block.isLoopHeader = true;
    }
    block.isMerge = forward > 1;
  }
}

function intersect(a: Block, b: Block): Block {
  while (a !== b) {
    while (a.order > b.order) a = a.dominator!;
    while (b.order > a.order) b = b.dominator!;
  }
  return a;
}

/** Whether every path from the entry to `b` passes `a`. */
export function dominates(a: Block, b: Block): boolean {
  for (let at: Block | null = b; at; at = at.dominator) if (at === a) return true;
  return false;
}
