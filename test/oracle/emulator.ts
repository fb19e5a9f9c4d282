/** The test driver that runs cases on one emulated CPU, without a kernel: page tables are written by hand. */
import { CcKind, ccOp } from '../../src/cpu/flags.js';
import type { CpuHooks } from '../../src/cpu/guest-cpu.js';
import { CPU_BLOCK_BYTES, CpuMode, CpuState, Exit, Vector } from '../../src/cpu/state.js';
import { loadX87, saveX87, setMxcsr } from '../../src/cpu/xsave.js';
import { Frame, MACHINE, Machine, memoryMap } from '../../src/memory/layout.js';
import { Memory, PAGE_SIZE } from '../../src/memory/memory.js';
import { Pte } from '../../src/mmu/pte.js';
import { Cpu } from '../../src/translate/cpu.js';
import { Engine } from '../../src/translate/engine.js';
import type { Handlers } from '../../src/translate/threaded/threaded-code.js';
import {
  CODE,
  DATA,
  type MemoryRun,
  patternBytes,
  RODATA,
  STACK,
  type TestCase,
  type TestDriver,
  type TestException,
  type TestResult,
  TIMEOUT,
} from './driver.js';

const PAGES: readonly [number, number][] = [
  [CODE, 1],
  [RODATA, 1],
  [DATA, 2],
  [STACK, 2],
];

const WRITABLE = [DATA, DATA + PAGE_SIZE, STACK, STACK + PAGE_SIZE];

const BUDGET = 100_000;

/** One CPU in this thread's own machine memory. */
export class EmulatorDriver implements TestDriver {
  readonly name: string = 'Europa';
  readonly memory: Memory;
  cpu: Cpu;
  protected readonly hooks: CpuHooks;
  protected readonly frames = new Map<number, number>();
  private nextFrame: number;
  private readonly cr3: number;
  /** Scratch for an FXSAVE image. */
  private readonly image: number;
  private lastCode = '';
  /** The writable pages before the current case. */
  private readonly before = WRITABLE.map(() => new Uint8Array(PAGE_SIZE));

  constructor() {
    const map = memoryMap(1 << 20, 1, CPU_BLOCK_BYTES);
    this.memory = Memory.create(map.total);
    const { memory } = this;
    memory.store32(MACHINE + Machine.cpuCount, 1);
    memory.store32(MACHINE + Machine.framesBase, map.framesBase);
    memory.store32(MACHINE + Machine.frameCount, map.frameCount);
    memory.store32(MACHINE + Machine.frameTable, map.frameTable);
    this.nextFrame = map.framesBase;
    this.image = map.heapBase;
    memory.store32(MACHINE + Machine.codeBase, map.codeBase);
    memory.store32(MACHINE + Machine.codeEnd, map.codeEnd);
    this.hooks = {
      pageFault: () => false,
      codeWritten: (cpu, frame) => cpu.dropFrame(frame),
      codeMarked: (cpu) => cpu.flushTlb(),
      now: () => 0,
      exclusive: (cpu, step) => {
        memory.store32(cpu.base + CpuState.exclusive, 1);
        try {
          return step();
        } finally {
          memory.store32(cpu.base + CpuState.exclusive, 0);
        }
      },
    };
    this.cpu = new Cpu(memory, 0, this.hooks);
    this.cr3 = this.frame();
    memory.store32(this.cpu.base + CpuState.cr3, this.cr3);
    memory.store32(this.cpu.base + CpuState.mode, CpuMode.user);
    for (const [base, count] of PAGES)
      for (let i = 0; i < count; i++) {
        const address = base + i * PAGE_SIZE;
        const writable = base === DATA || base === STACK ? Pte.writable : 0;
        this.frames.set(address, this.map(address, writable, base === CODE ? 0 : Pte.nxHigh));
      }
  }

  /** Goes on with a CPU that runs threaded code. */
  protected useHandlers(handlers: Handlers): Engine {
    const engine = new Engine(this.memory, null, handlers);
    this.cpu = new Cpu(this.memory, 0, this.hooks, engine);
    return engine;
  }

  run(cases: readonly TestCase[]): TestResult[] {
    return cases.map((test) => this.one(test));
  }

  private frame(): number {
    const frame = this.nextFrame;
    this.nextFrame += PAGE_SIZE;
    return frame;
  }

  /** Maps a page to a new frame, with further bits for both halves of its entry. @returns the frame's pointer */
  protected map(address: number, low: number, high: number): number {
    const { memory } = this;
    let table = this.cr3;
    for (const shift of [39, 30, 21]) {
      const slot = table + (Math.floor(address / 2 ** shift) & 511) * 8;
      if (!memory.load32(slot)) memory.store32(slot, this.frame() | Pte.present | Pte.writable | Pte.user);
      table = (memory.load32(slot) & -PAGE_SIZE) >>> 0;
    }
    const slot = table + (Math.floor(address / PAGE_SIZE) & 511) * 8;
    const frame = this.frame();
    memory.store32(slot, frame | Pte.present | Pte.user | low);
    memory.store32(slot + 4, high);
    return frame;
  }

  protected bytes(address: number): Uint8Array {
    const frame = this.frames.get(address)!;
    return this.memory.u8.subarray(frame, frame + PAGE_SIZE);
  }

  private one({ code, state, memory: runs }: TestCase): TestResult {
    const { memory, cpu } = this;
    const { base } = cpu;
    const key = Buffer.from(code).toString('hex');
    if (key !== this.lastCode) {
      this.lastCode = key;
      this.bytes(CODE).fill(0xcc).set(code);
      cpu.dropCode();
      const entry = memory.loadU32(MACHINE + Machine.frameTable);
      const number = (this.frames.get(CODE)! - memory.loadU32(MACHINE + Machine.framesBase)) / PAGE_SIZE;
      memory.store32(entry + number * Frame.size + Frame.codeMask, 0);
      cpu.flushTlb();
    }
    this.bytes(RODATA).set(PATTERNS.get(RODATA)!);
    for (const page of WRITABLE) this.bytes(page).set(PATTERNS.get(page)!);
    for (const { address, bytes } of runs) {
      for (let i = 0; i < bytes.length; i++) {
        const at = address + i;
        this.bytes(at - (at % PAGE_SIZE))[at % PAGE_SIZE] = bytes[i];
      }
    }
    WRITABLE.forEach((page, i) => {
      this.before[i].set(this.bytes(page));
    });

    for (let n = 0; n < 16; n++) memory.u64[(base + CpuState.gpr) / 8 + n] = state.gpr[n];
    memory.u64[(base + CpuState.rip) / 8] = BigInt(CODE);
    memory.u64[(base + CpuState.fsBase) / 8] = 0n;
    memory.u64[(base + CpuState.gsBase) / 8] = 0n;
    memory.u8.set(state.xmm, base + CpuState.xmm);
    cpu.rflags = state.rflags;
    // Lazy flags of another kind with the same value would do too; the neutral form is what a kernel restores.
    memory.store32(base + CpuState.ccOp, ccOp(CcKind.flags, 1));
    setMxcsr(memory, base, state.mxcsr);
    memory.u8.fill(0, this.image, this.image + 512);
    if (state.fx) memory.u8.set(state.fx, this.image);
    else memory.u16[this.image / 2] = 0x37f;
    loadX87(memory, base, this.image);
    memory.store32(base + CpuState.budget, BUDGET);
    memory.store32(base + CpuState.interrupt, 0);
    cpu.pkru = 0;

    const exit = cpu.run();

    let exception: TestException | null = {
      vector: memory.load32(base + CpuState.vector),
      errorCode: memory.load32(base + CpuState.errorCode),
      address: memory.u64[(base + CpuState.faultAddress) / 8],
    };
    let rip = memory.u64[(base + CpuState.rip) / 8];
    if (exit === Exit.unimplemented) exception = { vector: Vector.UD, errorCode: 0, address: 0n };
    else if (exit === Exit.interrupt) exception = { vector: TIMEOUT, errorCode: 0, address: 0n };
    else if (exit !== Exit.exception) exception = { vector: 0x200 + exit, errorCode: 0, address: 0n };
    else if (exception.vector === Vector.BP && Number(rip) === CODE + code.length + 1) {
      exception = null;
      rip -= 1n;
    }
    memory.u8.fill(0, this.image, this.image + 512);
    saveX87(memory, base, this.image);
    return {
      exception,
      gpr: memory.u64.slice((base + CpuState.gpr) / 8, (base + CpuState.gpr) / 8 + 16),
      rip,
      rflags: cpu.rflags,
      xmm: memory.u8.slice(base + CpuState.xmm, base + CpuState.xmm + 256),
      mxcsr: memory.load32(base + CpuState.mxcsr),
      fx: memory.u8.slice(this.image, this.image + 512),
      memory: WRITABLE.flatMap((page, i) => changes(page, this.before[i], this.bytes(page))),
    };
  }
}

const PATTERNS = new Map([RODATA, ...WRITABLE].map((page) => [page, patternBytes(page, PAGE_SIZE)]));

/** Runs of bytes that differ. */
function changes(address: number, before: Uint8Array, after: Uint8Array): MemoryRun[] {
  const runs: MemoryRun[] = [];
  if (Buffer.compare(before, after) === 0) return runs;
  for (let i = 0; i < before.length; i++) {
    if (before[i] === after[i]) continue;
    let end = i + 1;
    while (end < before.length && before[end] !== after[end]) end++;
    runs.push({ address: address + i, bytes: after.slice(i, end) });
    i = end;
  }
  return runs;
}
