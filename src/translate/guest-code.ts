import type { CpuHooks, GuestCpu } from '../cpu/guest-cpu.js';
import { CpuState, Vector } from '../cpu/state.js';
import { Frame } from '../memory/layout.js';
import { type Memory, PAGE_SIZE } from '../memory/memory.js';
import { frameTableEntry } from '../mmu/frames.js';
import { Access } from '../mmu/walk.js';
import { pieces, type SourceBytes } from './code-cache.js';
import { disassemble } from './iced/library.js';
import { type Insn, InsnDecoder, MAX_INSN } from './insn.js';
import { Templates } from './template.js';
import type { CodeSource } from './threaded/threaded-code.js';

/** What fetching needs of the CPU that does it. */
export interface FetchingCpu extends GuestCpu {
  readonly hooks: CpuHooks;
  /** Notes an exception at the current instruction. */
  setException(vector: number, errorCode: number): void;
}

/** Decoded instructions kept: some hundred bytes each. */
const DECODED_KEPT = 20_000;

/**
 * The guest's code as the CPUs of an engine fetch it: instructions, decoded, and the bytes that they are made of. All that is read here
 * is noted in the frame table first (Frame.codeMask), so that whoever writes to it later has what was made of it dropped. A page fault
 * of a fetch may itself serve such a request: who makes something of code compares `drops` before and after.
 */
export class GuestCode {
  /** How often code was dropped. */
  drops = 0;
  /** Made when the first instruction is fetched: a CPU that never runs anything doesn't load the decoder. */
  private lazyDecoder: InsnDecoder | null = null;

  /**
   * Decoded instructions by address: each is met as threaded code and again in every region that contains it. Their bytes are noted as
   * code, so whatever changes them drops code, and all of these.
   */
  private readonly decoded = new Map<number, Insn>();
  private readonly templates = new Templates();
  private readonly sources = new Map<FetchingCpu, CodeSource>();

  /** The page that the latest instruction of the region in the making was fetched from, −1 for none, and its pointer. */
  private fetchedPage = -1;
  private fetchedPointer = 0;

  constructor(private readonly memory: Memory) {}

  private get decoder(): InsnDecoder {
    return (this.lazyDecoder ??= new InsnDecoder());
  }

  /** To be called before anything is read: pages may have changed since the last time. */
  begin(): void {
    this.fetchedPage = -1;
  }

  /** Code was dropped, and with it what is known here. */
  dropped(): void {
    this.drops++;
    this.decoded.clear();
    this.begin();
  }

  /** `fetch` for the instructions of something in the making, one after the other. */
  fetcher(cpu: FetchingCpu): (ip: number) => Insn | null {
    this.begin();
    return (ip) => this.fetchFrom(cpu, ip);
  }

  /** The same for threaded code, which takes instructions whose form it knows as they are in memory. */
  source(cpu: FetchingCpu): CodeSource {
    this.begin();
    let source = this.sources.get(cpu);
    if (!source) {
      source = {
        locate: (ip) => this.codePointer(cpu, ip),
        codeMask: (pointer) => this.codeMask(pointer),
        mark: (pointer, length) => this.markCode(cpu, pointer, length),
        fetch: (ip) => this.fetchFrom(cpu, ip),
      };
      this.sources.set(cpu, source);
    }
    return source;
  }

  /**
   * Decodes the instruction at a guest address and notes that its bytes are translated code.
   * @returns null if it cannot be fetched or is none, with the #PF or #UD in CpuState
   */
  fetch(cpu: FetchingCpu, ip: number): Insn | null {
    this.begin();
    return this.fetchFrom(cpu, ip);
  }

  private fetchFrom(cpu: FetchingCpu, ip: number): Insn | null {
    const known = this.decoded.get(ip);
    if (known) return known;
    const first = this.codePointer(cpu, ip);
    if (first === 0) return null;
    const room = PAGE_SIZE - (first & (PAGE_SIZE - 1));
    const { u8 } = this.memory;
    const template = this.templates.find(u8, first, room, ip);
    if (template) {
      // A store between reading the bytes and marking them went unnoticed: read what is marked for the first time again.
      if (this.markCode(cpu, first, template.length)) return this.fetchFrom(cpu, ip);
      return this.keepDecoded(template.insn(u8, first, ip));
    }
    let bytes = u8.subarray(first, first + Math.min(MAX_INSN, room));
    let second = 0;
    if (room < MAX_INSN) {
      second = this.codePointer(cpu, ip + room);
      const joined = new Uint8Array(second === 0 ? room : MAX_INSN);
      joined.set(bytes);
      if (second !== 0) joined.set(u8.subarray(second, second + MAX_INSN - room), room);
      bytes = joined;
    }
    const insn = this.decoder.decode(bytes, ip);
    if (!insn) {
      const wantsMore = this.decoder.wantsMore();
      // The exception is that of the second page's first byte.
      if (wantsMore && bytes.length < MAX_INSN)
        return this.codePointer(cpu, ip + room) === 0 ? null : this.fetchFrom(cpu, ip);
      // More than 15 bytes are #GP (SDM vol. 2, 2.3.11).
      cpu.setException(wantsMore ? Vector.GP : Vector.UD, 0);
      return null;
    }
    const length = insn.next - ip;
    let marked = length > room && this.markCode(cpu, second, length - room);
    marked = this.markCode(cpu, first, Math.min(length, room)) || marked;
    if (marked) return this.fetchFrom(cpu, ip);
    this.templates.learn(this.decoder, insn, bytes);
    return this.keepDecoded(insn);
  }

  private keepDecoded(insn: Insn): Insn {
    if (this.decoded.size >= DECODED_KEPT) this.decoded.clear();
    this.decoded.set(insn.ip, insn);
    return insn;
  }

  /** Pointer of a byte that may be executed; 0 with the exception in CpuState. */
  private codePointer(cpu: FetchingCpu, ip: number): number {
    // Of a negative address too, as those of the kernel's half are.
    const offset = ip & (PAGE_SIZE - 1);
    if (ip - offset === this.fetchedPage) return this.fetchedPointer + offset;
    const pointer = cpu.translate(ip, Access.fetch);
    if (pointer !== 0) {
      this.fetchedPage = ip - offset;
      this.fetchedPointer = pointer - offset;
    }
    return pointer;
  }

  /**
   * Notes that `length` bytes at a pointer (within one frame) are translated code.
   * @returns whether any of them were not noted before
   */
  private markCode(cpu: FetchingCpu, pointer: number, length: number): boolean {
    const { memory } = this;
    const offset = pointer & (PAGE_SIZE - 1);
    let mask = 0;
    for (let bit = offset >>> 7; bit <= (offset + length - 1) >>> 7; bit++) mask |= 1 << bit;
    const index = this.codeMask(pointer) >>> 2;
    if ((Atomics.load(memory.i32, index) & mask) === mask) return false;
    if (Atomics.or(memory.i32, index, mask) === 0) cpu.hooks.codeMarked(cpu, (pointer - offset) >>> 0);
    return true;
  }

  /** Pointer of the codeMask of the frame with a pointer. */
  private codeMask(pointer: number): number {
    return frameTableEntry(this.memory, (pointer & -PAGE_SIZE) >>> 0) + Frame.codeMask;
  }

  /** Pointers of the frames that pages are in. */
  framesOf(cpu: FetchingCpu, pages: Iterable<number>): number[] {
    return [...pages].map((page) => (this.codePointer(cpu, page * PAGE_SIZE) & -PAGE_SIZE) >>> 0);
  }

  /** A copy of the bytes that the instructions of these basic blocks are made of. */
  bytesOf(cpu: FetchingCpu, blocks: readonly (readonly Insn[])[]): SourceBytes[] {
    const source: SourceBytes[] = [];
    for (const insns of blocks) {
      // A block's instructions are contiguous.
      const end = insns[insns.length - 1].next;
      for (const { address, length } of pieces(insns[0].ip, end)) {
        const pointer = this.codePointer(cpu, address);
        source.push({ address, bytes: this.memory.u8.slice(pointer, pointer + length) });
      }
    }
    return source;
  }

  /** Copies the code in [start, end) to a pointer. */
  copy(cpu: FetchingCpu, start: number, end: number, to: number): void {
    for (const { address, length } of pieces(start, end)) {
      const pointer = this.codePointer(cpu, address);
      this.memory.u8.copyWithin(to + address - start, pointer, pointer + length);
    }
  }

  /** Whether memory still holds these bytes, which are noted as code from here on. */
  isUnchanged(cpu: FetchingCpu, source: readonly SourceBytes[]): boolean {
    const { drops } = this;
    const { u8 } = this.memory;
    for (const { address, bytes } of source) {
      const pointer = this.codePointer(cpu, address);
      if (pointer === 0) return false;
      // Marked first: a store from now on drops what is made of them.
      this.markCode(cpu, pointer, bytes.length);
      for (let i = 0; i < bytes.length; i++) if (u8[pointer + i] !== bytes[i]) return false;
    }
    // A page fault of ours may have served a request to drop code, of what was compared before.
    return drops === this.drops;
  }

  /** The instruction at an address as text, for reports; null if there is no code. Leaves the CPU's exception as it is. */
  describe(cpu: FetchingCpu, address: number): { bytes: Uint8Array; text: string } | null {
    const { u8 } = this.memory;
    this.begin();
    const saved = u8.slice(cpu.base + CpuState.vector, cpu.base + CpuState.faultAddress + 8);
    const pointer = this.codePointer(cpu, address);
    u8.set(saved, cpu.base + CpuState.vector);
    if (pointer === 0) return null;
    const room = Math.min(MAX_INSN, PAGE_SIZE - (pointer & (PAGE_SIZE - 1)));
    const bytes = u8.slice(pointer, pointer + room);
    const insn = this.decoder.decode(bytes, address);
    const length = insn ? Math.min(insn.next - address, room) : Math.min(room, 8);
    return { bytes: bytes.slice(0, length), text: disassemble(bytes, address) };
  }
}
