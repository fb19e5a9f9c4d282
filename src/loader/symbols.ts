import { EHDR_BYTES, number64, SHDR_BYTES, viewOf } from './elf.js';
import { ProgramFile } from './program-file.js';

/** Where an address lies: `offset` bytes into the function or object `name`. */
export interface SymbolAt {
  readonly name: string;
  readonly offset: number;
}

const SHT_SYMTAB = 2;
const SHT_DYNSYM = 11;
const SYM_BYTES = 24;
const SHN_UNDEF = 0;
const SHN_ABS = 0xfff1;
const STT_NOTYPE = 0;
const STT_OBJECT = 1;
const STT_FUNC = 2;
const STT_GNU_IFUNC = 10;
const STB_LOCAL = 0;

/** No symbol is looked for further away than this when the symbol itself has no size (assembly labels). */
const UNSIZED_REACH = 1 << 16;

/**
 * The symbols of a loaded program, for messages and traces. The file is read at the first look-up, never before; a program
 * without symbols, or whose file is gone by then, has an empty table.
 */
export class SymbolTable {
  private loaded = false;
  private addresses = new Float64Array(0);
  private sizes = new Float64Array(0);
  private names: string[] = [];

  /**
   * @param path the program's file
   * @param base what to add to addresses as linked (0 unless the program is position-independent)
   */
  constructor(
    readonly path: string,
    readonly base: number,
  ) {}

  /** The symbol that contains the address, or the nearest one below it. */
  lookup(address: number): SymbolAt | null {
    this.load();
    const { addresses, sizes } = this;
    let low = 0;
    let high = addresses.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (addresses[middle] <= address) low = middle + 1;
      else high = middle;
    }
    const i = low - 1;
    if (i < 0) return null;
    const offset = address - addresses[i];
    if (offset >= (sizes[i] || UNSIZED_REACH)) return null;
    return { name: this.names[i], offset };
  }

  /** "main+0x1c", or null when no symbol is near. */
  describe(address: number): string | null {
    const found = this.lookup(address);
    if (!found) return null;
    return found.offset === 0 ? found.name : `${found.name}+0x${found.offset.toString(16)}`;
  }

  /** Address of a symbol by its exact name, or null. */
  find(name: string): number | null {
    this.load();
    const i = this.names.indexOf(name);
    return i < 0 ? null : this.addresses[i];
  }

  private load(): void {
    if (this.loaded) return;
    this.loaded = true;
    let file: ProgramFile;
    try {
      file = ProgramFile.open(this.path);
    } catch {
      return;
    }
    try {
      this.parse(file);
    } catch {
      // Damaged section headers do not keep a program from running, so they only cost the names.
      this.addresses = new Float64Array(0);
      this.names = [];
    } finally {
      file.close();
    }
  }

  private parse(file: ProgramFile): void {
    const ehdr = viewOf(file.read(0, EHDR_BYTES));
    const shnum = ehdr.getUint16(60, true);
    const sections = viewOf(file.read(number64(ehdr, 40), shnum * SHDR_BYTES));
    const found: RawSymbol[] = [];
    // .dynsym is a subset of .symtab where that exists, so it is only read without it.
    for (const type of [SHT_SYMTAB, SHT_DYNSYM]) {
      for (let i = 0; i < shnum; i++) {
        if (sections.getUint32(i * SHDR_BYTES + 4, true) === type) readSymbols(file, sections, i, found);
      }
      if (found.length > 0) break;
    }
    // At equal addresses keep one: sized before unsized, then global before local, then the shortest name.
    found.sort(
      (a, b) =>
        a.address - b.address ||
        Number(b.size > 0) - Number(a.size > 0) ||
        Number(a.local) - Number(b.local) ||
        a.name.length - b.name.length ||
        (a.name < b.name ? -1 : 1),
    );
    const kept = found.filter((symbol, i) => i === 0 || symbol.address !== found[i - 1].address);
    this.addresses = Float64Array.from(kept, (symbol) => symbol.address + this.base);
    this.sizes = Float64Array.from(kept, (symbol) => symbol.size);
    this.names = kept.map((symbol) => symbol.name);
  }
}

interface RawSymbol {
  readonly name: string;
  readonly address: number;
  readonly size: number;
  readonly local: boolean;
}

function readSymbols(file: ProgramFile, sections: DataView, index: number, found: RawSymbol[]): void {
  const section = index * SHDR_BYTES;
  const symbols = viewOf(file.read(number64(sections, section + 24), number64(sections, section + 32)));
  const stringSection = sections.getUint32(section + 40, true) * SHDR_BYTES;
  const strings = Buffer.from(
    file.read(number64(sections, stringSection + 24), number64(sections, stringSection + 32)),
  );
  for (let at = SYM_BYTES; at + SYM_BYTES <= symbols.byteLength; at += SYM_BYTES) {
    const info = symbols.getUint8(at + 4);
    const type = info & 15;
    const sectionIndex = symbols.getUint16(at + 6, true);
    if (sectionIndex === SHN_UNDEF || sectionIndex === SHN_ABS) continue;
    if (type !== STT_NOTYPE && type !== STT_OBJECT && type !== STT_FUNC && type !== STT_GNU_IFUNC) continue;
    const start = symbols.getUint32(at, true);
    const name = strings.toString('latin1', start, strings.indexOf(0, start));
    if (name === '') continue;
    found.push({
      name,
      address: number64(symbols, at + 8),
      size: number64(symbols, at + 16),
      local: info >> 4 === STB_LOCAL,
    });
  }
}
