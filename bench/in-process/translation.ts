import { CpuState } from '../../src/cpu/state.js';
import { PAGE_SIZE } from '../../src/memory/memory.js';
import { repeat } from './code.js';
import { BenchMachine } from './machine.js';
import { type Benchmark, type Prepared, time } from './measure.js';

/** What compilers make of small functions: arithmetic, loads, stores, compares, short jumps forwards; seven basic blocks. */
const PIECE = [
  ...[0x55], // push rbp
  ...[0x48, 0x89, 0xe5], // mov rbp,rsp
  ...[0x48, 0x8b, 0x06], // mov rax,[rsi]
  ...[0x8b, 0x4e, 0x08], // mov ecx,[rsi+8]
  ...[0x48, 0x8d, 0x54, 0x88, 0x10], // lea rdx,[rax+rcx*4+16]
  ...[0x48, 0x0f, 0xaf, 0xd0], // imul rdx,rax
  ...[0x48, 0x31, 0xc2], // xor rdx,rax
  ...[0x48, 0xc1, 0xea, 0x07], // shr rdx,7
  ...[0xf6, 0xc2, 0x01], // test dl,1
  ...[0x74, 0x08], // jz over the next two
  ...[0x48, 0x01, 0xd0], // add rax,rdx
  ...[0x44, 0x0f, 0xb6, 0x46, 0x03], // movzx r8d,byte [rsi+3]
  ...[0x48, 0x89, 0x46, 0x10], // mov [rsi+16],rax
  ...[0x48, 0x39, 0xd0], // cmp rax,rdx
  ...[0x72, 0x03], // jb over the next
  ...[0x48, 0x29, 0xc8], // sub rax,rcx
  ...[0x25, 0xff, 0x00, 0x00, 0x00], // and eax,255
  ...[0x4c, 0x89, 0x46, 0x18], // mov [rsi+24],r8
  ...[0x5d], // pop rbp
];
const PIECE_INSTRUCTIONS = 19;
const PIECES = 3;
const INT3 = 0xcc;
/** Offset in the data page of the address to which each copy jumps at its end. */
const END_AT = 0x40;
const REGION = [...repeat(PIECES, PIECE), 0xff, 0x66, END_AT]; // jmp [rsi+END_AT]
const REGION_INSTRUCTIONS = PIECES * PIECE_INSTRUCTIONS + 1;
const REGIONS = 10;

/**
 * Code that was never run before, run once: threaded (decoded, one handler an instruction), or translated (decoded, emitted,
 * compiled by V8). Each copy lies at an address of its own, since V8 does not compile a module again whose bytes it knows.
 */
function firstRun(translateAll: boolean): Prepared {
  const machine = new BenchMachine({ translateAll });
  const { memory } = machine;
  const { cpu, user } = machine.cpus[0].k;
  const data = machine.map(1);
  const stack = machine.map(1);
  const end = machine.code([INT3]);
  user.writeU64(data + END_AT, end);
  const registers = { rsi: data, rsp: stack + PAGE_SIZE };
  const translated = (cpu.base + CpuState.regionsTranslated) >>> 3;
  const expected = translateAll ? REGIONS : 0;
  return {
    operations: REGIONS * REGION_INSTRUCTIONS,
    // The translator itself is JavaScript that V8 has to optimise.
    warmup: 40,
    sample: () => {
      cpu.dropCode();
      machine.run(end, registers);
      const first = machine.code(repeat(REGIONS, REGION));
      const before = memory.f64[translated];
      const elapsed = time(() => {
        for (let i = 0; i < REGIONS; i++) machine.run(first + i * REGION.length, registers);
      });
      const regions = memory.f64[translated] - before;
      if (regions !== expected) throw new Error(`${regions} regions were translated, not ${expected}`);
      return elapsed;
    },
  };
}

export const translationBenchmarks: readonly Benchmark[] = [
  {
    name: 'first-run',
    what: 'each instruction of new code, threaded and run once',
    prepare: () => firstRun(false),
  },
  {
    name: 'translation',
    what: `each instruction of a new region of ${REGION_INSTRUCTIONS}, run once`,
    prepare: () => firstRun(true),
  },
];
