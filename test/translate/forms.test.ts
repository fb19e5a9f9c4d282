/** Code made from templates and from the table of forms is what decoding each instruction gives, whatever its constants are. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadHandlers } from '../../src/machine/handlers.js';
import { MACHINE, Machine } from '../../src/memory/layout.js';
import { type Memory, PAGE_SIZE } from '../../src/memory/memory.js';
import { type Insn, InsnDecoder, MAX_INSN } from '../../src/translate/insn.js';
import { Templates } from '../../src/translate/template.js';
import { writeInsn } from '../../src/translate/threaded/insn-writer.js';
import { ThreadedBlock, ThreadedInsn } from '../../src/translate/threaded/layout.js';
import type { CodeSource } from '../../src/translate/threaded/threaded-code.js';
import { CODE } from '../oracle/driver.js';
import { Random } from '../oracle/random.js';
import { ThreadedCpu } from './threaded-cpu.js';

const prefixes = readFileSync(new URL('../../src/translate/threaded/prefixes.txt', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((hex) => Buffer.from(hex, 'hex'));

const decoder = new InsnDecoder();

interface Sample {
  readonly bytes: Uint8Array;
  readonly ip: number;
  readonly insn: Insn;
}

/** An instruction for each prefix, with random constants, among them the greatest and the least. */
function samples(random: Random): Sample[] {
  return prefixes.map((prefix) => {
    const bytes = new Uint8Array(MAX_INSN).map(
      () => [0, 0x7f, 0x80, 0xff, random.u32() & 0xff][random.below(5)],
    );
    bytes.set(prefix);
    const ip = (random.below(2) ? 0 : 2 ** 46) + random.below(2 ** 30);
    return { bytes, ip, insn: decoder.decode(bytes, ip)! };
  });
}

/** Pointers of frames that the CPU does not use: for code, for its codeMask, and for anything. */
function unusedFrames(memory: Memory): { page: number; mask: number; scratch: number } {
  const frames = memory.loadU32(MACHINE + Machine.framesBase);
  const end = frames + memory.load32(MACHINE + Machine.frameCount) * PAGE_SIZE;
  return { page: end - PAGE_SIZE, mask: end - 2 * PAGE_SIZE, scratch: end - 3 * PAGE_SIZE };
}

const length = ({ insn }: Sample) => insn.next - insn.ip;

it('an instruction of a known template is as if decoded', () => {
  const random = new Random(1);
  const templates = new Templates();
  for (const { bytes, insn } of samples(random)) {
    decoder.decode(bytes, insn.ip);
    templates.learn(decoder, insn, bytes);
  }
  for (let round = 0; round < 4; round++) {
    for (const sample of samples(random)) {
      const { bytes, ip, insn } = sample;
      const template = templates.find(bytes, 0, MAX_INSN, ip);
      expect(template?.insn(bytes, 0, ip)).toEqual(insn);
      expect(templates.find(bytes, 0, length(sample) - 1, ip)).toBeNull();
    }
  }
});

it('the table of forms makes the threaded code that decoding makes, one instruction after the other', () => {
  const cpu = new ThreadedCpu(8 << 20);
  const { memory } = cpu;
  const threaded = cpu.engine['threaded']!;
  const { page, mask, scratch } = unusedFrames(memory);
  memory.i32[mask >>> 2] = -1;
  let decoded = 0;
  const random = new Random(2);
  for (const sample of [...samples(random), ...samples(random)]) {
    const { bytes, ip, insn } = sample;
    memory.u8.set(bytes, page + (ip % 1024));
    const source: CodeSource = {
      locate: (at) => page + (ip % 1024) + at - ip,
      codeMask: () => mask,
      mark: () => expect.unreachable(),
      fetch: () => {
        decoded++;
        return null;
      },
    };
    memory.u8.fill(0, scratch, scratch + ThreadedInsn.size);
    if (!writeInsn(memory, scratch, insn, loadHandlers().index)) continue;
    if (threaded.full) threaded.reset();
    const written = threaded.write(ip, source, 0, 1);
    // Without a form: the shape leaves no immediate open, or two immediates.
    if (written === 'fault') continue;
    expect(written).toMatchObject({ count: 1, end: insn.next });
    const at = written!.block + ThreadedBlock.size;
    expect(memory.u8.slice(at, at + ThreadedInsn.size)).toEqual(
      memory.u8.slice(scratch, scratch + ThreadedInsn.size),
    );
  }
  expect(decoded).toBeLessThan(prefixes.length / 20);
});

it('an instruction across the end of a page is decoded, and what is not noted as code is noted before it is read', () => {
  const cpu = new ThreadedCpu();
  const { memory } = cpu;
  const threaded = cpu.engine['threaded']!;
  const { page, mask } = unusedFrames(memory);
  // add eax, 5; add eax, 6; ret: at the end of a page, the second across it; before the first is marked it is another.
  const ip = CODE + PAGE_SIZE - 4;
  memory.i32[mask >>> 2] = 0;
  memory.u8.set(Buffer.from('83c00483', 'hex'), page + PAGE_SIZE - 4);
  const calls: string[] = [];
  const written = threaded.write(ip, {
    locate: (at) => page + at - CODE,
    codeMask: () => mask,
    mark: (pointer, bytes) => {
      calls.push(`mark ${pointer - page} ${bytes}`);
      memory.u8[page + PAGE_SIZE - 2] = 5;
      memory.i32[mask >>> 2] = 1 << 31;
    },
    fetch: (at) => {
      calls.push(`fetch ${at - CODE}`);
      return null;
    },
  });
  expect(calls).toEqual([`mark ${PAGE_SIZE - 4} 3`, `fetch ${PAGE_SIZE - 1}`]);
  expect(written).toMatchObject({ count: 1, end: CODE + PAGE_SIZE - 1 });
  const { block } = written as { block: number };
  expect(memory.loadNumber(block + ThreadedBlock.size + ThreadedInsn.value)).toBe(5);
});
