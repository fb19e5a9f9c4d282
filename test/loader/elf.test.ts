import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type ByteSource,
  LoadError,
  loadProgram,
  ProgramFile,
  parseElf,
  planLoad,
} from '../../src/loader/index.js';
import { elf, Folder, options, RecordingTarget, type SegmentFields } from './fixtures.js';

const folder = new Folder();
afterAll(() => folder.remove());

function source(bytes: Uint8Array): ByteSource {
  return {
    path: 'prog',
    size: bytes.length,
    read: (offset, count) => bytes.subarray(offset, offset + count),
  };
}

function reasonOf(bytes: Uint8Array): string {
  try {
    parseElf(source(bytes));
  } catch (error) {
    expect(error).toBeInstanceOf(LoadError);
    expect((error as LoadError).message).toBe(`prog: ${(error as LoadError).reason}`);
    expect((error as LoadError).message).not.toContain('\n');
    return (error as LoadError).reason;
  }
  return 'accepted';
}

describe('parseElf refuses', () => {
  const segments = (...list: SegmentFields[]) => elf({ segments: list, size: 8192 });
  const interpreter = elf({ segments: [{}, { type: 3, offset: 1000, filesz: 28 }] });
  interpreter.set(Buffer.from('/lib64/ld-linux-x86-64.so.2\0'), 1000);
  const cases: [string, Uint8Array, RegExp][] = [
    ['an empty file', new Uint8Array(0), /empty/],
    ['noise', Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919 + 13) & 255), /^not an ELF program$/],
    ['a script', Buffer.from('#!/bin/sh\necho\n'), /script/],
    ['the magic alone', elf({ size: 4 }), /^truncated/],
    ['half a header', elf({ size: 40 }), /^truncated/],
    ['headers cut off', elf({ size: 100 }), /^truncated.* byte 120, the file at 100$/],
    [
      'a segment cut off',
      elf({ size: 4000 }),
      /^truncated.*segment 1 of 1 ends at byte 4096, the file at 4000$/,
    ],
    ['i386', elf({ class: 1, machine: 3 }), /for i386/],
    ['Arm', elf({ class: 1, machine: 40 }), /for Arm/],
    ['AArch64', elf({ machine: 183 }), /for AArch64/],
    ['big-endian PowerPC', elf({ machine: 21, order: 2 }), /for PowerPC64/],
    ['x32', elf({ class: 1 }), /32-bit/],
    ['big-endian x86-64', elf({ order: 2 }), /byte order/],
    ['an unknown machine', elf({ machine: 4711 }), /machine 4711/],
    ['an object file', elf({ type: 1 }), /object file/],
    ['a core dump', elf({ type: 4 }), /core dump/],
    ['another type', elf({ type: 77 }), /type 77/],
    ['another version', elf({ version: 2 }), /version/],
    ['no program headers', elf({ segments: [] }), /no program headers/],
    ['program headers of 32 bytes', elf({ phentsize: 32 }), /unknown size/],
    ['a dynamic program', interpreter, /dynamically linked \(interpreter \/lib64\/ld-linux-x86-64.so.2\)/],
    ['a shared library', elf({ type: 3, entry: 0 }), /shared library/],
    ['nothing to load', segments({ type: 4 }), /nothing to load/],
    ['p_filesz above p_memsz', segments({ filesz: 4096, memsz: 4095 }), /larger in the file/],
    ['descending segments', segments({}, { vaddr: 0x3ff000 }), /segment 2 of 2 overlaps/],
    ['offsets not congruent', segments({ offset: 8 }), /page-aligned/],
    ['kernel addresses', segments({ vaddr: 0x7fff_ffff_f000 }), /outside of user memory/],
    ['p_memsz of 2^64 − 1', segments({ memsz: 2 ** 64 - 2048 }), /outside of user memory/],
  ];
  it.each(cases)('%s', (_, bytes, reason) => {
    expect(reasonOf(bytes)).toMatch(reason);
  });

  it('nothing that is right', () => {
    expect(reasonOf(elf())).toBe('accepted');
    expect(reasonOf(elf({ type: 3 }))).toBe('accepted');
  });

  it('every truncation and every damaged byte of the headers with a LoadError, or not at all', () => {
    const good = elf({ segments: [{}, { vaddr: 0x401000, flags: 6 }] });
    for (let size = 0; size < 4096; size += size < 200 ? 1 : 97)
      expect(reasonOf(good.slice(0, size))).not.toBe('accepted');
    for (let at = 0; at < 176; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const bad = good.slice();
        bad[at] = value;
        reasonOf(bad);
      }
    }
  });
});

describe('ProgramFile.open refuses', () => {
  const reason = (path: string) => {
    try {
      ProgramFile.open(path).close();
    } catch (error) {
      return (error as LoadError).reason;
    }
    return 'opened';
  };

  it('what cannot be executed', () => {
    expect(reason(folder.file('missing'))).toBe('no such file');
    mkdirSync(folder.file('dir'));
    expect(reason(folder.file('dir'))).toBe('is a directory');
    expect(reason(folder.write('plain', elf(), 0o644))).toMatch(/not executable/);
    expect(reason(`${folder.file('plain')}/x`)).toMatch(/not a directory/);
    expect(reason('/dev/null')).toBe('not a regular file');
    expect(reason('a\0b')).toMatch(/null byte/);
    expect(reason('x'.repeat(5000))).toBe('file name too long');
    execFileSync('mkfifo', ['-m', '755', folder.file('fifo')]);
    expect(reason(folder.file('fifo'))).toBe('not a regular file');
    expect(reason(folder.write('good', elf()))).toBe('opened');
  });
});

describe('planLoad', () => {
  const plan = (segments: SegmentFields[], fields = {}, size = 0x10000) =>
    planLoad(parseElf(source(elf({ segments, size, ...fields }))), size);

  it('rounds a segment to whole pages of the file', () => {
    const { mappings, brk } = plan([{ vaddr: 0x400123, offset: 0x123, filesz: 0x1000 }]);
    expect(mappings).toEqual([{ start: 0x400000, end: 0x402000, prot: 5, fileOffset: 0, fileBytes: 0x2000 }]);
    expect(brk).toBe(0x402000);
  });

  it('stops at the end of the file', () => {
    expect(plan([{ vaddr: 0x400000, filesz: 0x1234 }], {}, 0x1300).mappings[0].fileBytes).toBe(0x1300);
  });

  it('clears the rest of the page and maps the rest of a bss', () => {
    expect(plan([{ vaddr: 0x400010, offset: 0x10, filesz: 0x20, memsz: 0x3000, flags: 6 }]).mappings).toEqual(
      [
        { start: 0x400000, end: 0x401000, prot: 3, fileOffset: 0, fileBytes: 0x30 },
        { start: 0x401000, end: 0x404000, prot: 3, fileOffset: 0, fileBytes: 0 },
      ],
    );
    expect(plan([{ filesz: 0x10, memsz: 0x20, flags: 6 }]).mappings).toHaveLength(1);
    expect(plan([{ filesz: 0, memsz: 0x20, flags: 6 }]).mappings).toEqual([
      { start: 0x400000, end: 0x401000, prot: 3, fileOffset: 0, fileBytes: 0 },
    ]);
  });

  it('lets a bss share the last page of the segment before it', () => {
    const { mappings } = plan([
      { filesz: 0x800 },
      { vaddr: 0x400900, offset: 0x900, filesz: 0, memsz: 0x1000, flags: 6 },
    ]);
    expect(mappings.map((m) => [m.start, m.end])).toEqual([
      [0x400000, 0x401000],
      [0x401000, 0x402000],
    ]);
  });

  it('places position-independent programs at one base, aligned as they ask', () => {
    const pie = plan([{ vaddr: 0 }], { type: 3, entry: 0x80 });
    expect(pie.base).toBe(0x5555_5555_4000);
    expect(pie.entry).toBe(0x5555_5555_4080);
    expect(pie.phdr).toBe(0x5555_5555_4040);
    expect(plan([{ vaddr: 0, align: 0x20_0000 }], { type: 3, entry: 0x80 }).base).toBe(0x5555_5540_0000);
    expect(plan([{}]).base).toBe(0);
  });

  it('knows what PT_GNU_STACK asks for', () => {
    expect(plan([{}]).executableStack).toBe(false);
    expect(plan([{}, { type: 0x6474e551, flags: 6 }]).executableStack).toBe(false);
    expect(plan([{}, { type: 0x6474e551, flags: 7 }]).executableStack).toBe(true);
  });
});

describe('loadProgram', () => {
  it('says so when the program or its arguments do not fit', () => {
    const path = folder.write('big', elf({ segments: [{ filesz: 0x8000 }], size: 0x8000 }));
    const load = (target: RecordingTarget, argv: string[]) => {
      const file = ProgramFile.open(path);
      try {
        return loadProgram(target, file, options({ argv }));
      } finally {
        file.close();
      }
    };
    expect(load(new RecordingTarget(), ['big']).entry).toBe(0x400080);
    expect(() => load(new RecordingTarget(4), ['big'])).toThrow(/^.*big: does not fit into the memory/);
    expect(() => load(new RecordingTarget(), ['x'.repeat(131072)])).toThrow(/too long/);
    expect(() => load(new RecordingTarget(), new Array(300).fill('x'.repeat(9000)))).toThrow(
      /argument list too long/,
    );
  });
});
