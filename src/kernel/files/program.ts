import type { LoadedProgram } from '../../loader/load.js';
import type { Memory } from '../../memory/memory.js';
import { struct } from '../../memory/struct.js';
import { freeString, loadString, storeString } from './description.js';
import { hostPath } from './host.js';
import { hostOf } from './host-system.js';
import { allocate, release } from './links.js';
import { FileTable } from './table-layout.js';

/** What /proc tells of the program that a process runs. */
export const Program = struct({
  /** Absolute path of its file, a byte string. */
  path: 'u32',
  /** The auxiliary vector, a byte string. */
  auxv: 'u32',
  imageStart: 'f64',
  argStart: 'f64',
  argEnd: 'f64',
  envEnd: 'f64',
  codeStart: 'f64',
  codeEnd: 'f64',
  stackPointer: 'f64',
  stackStart: 'f64',
  stackEnd: 'f64',
  brk: 'f64',
});

/** Notes a program that was just loaded, in place of the one before it. Returns false if there is no room. */
export function setProgram(memory: Memory, table: number, loaded: LoadedProgram): boolean {
  dropProgram(memory, table);
  const program = allocate(memory, Program.size);
  if (program === 0) return false;
  const path = storeString(
    memory,
    hostOf(memory)
      .realpath(hostPath(Buffer.from(loaded.path).toString('latin1')))
      .toString('latin1'),
  );
  const auxv = storeString(memory, Buffer.from(loaded.auxv).toString('latin1'));
  memory.store32(program + Program.path, path);
  memory.store32(program + Program.auxv, auxv);
  const numbers = [
    'imageStart',
    'argStart',
    'argEnd',
    'envEnd',
    'codeStart',
    'codeEnd',
    'stackPointer',
    'stackStart',
    'stackEnd',
    'brk',
  ] as const;
  for (const name of numbers) memory.f64[(program + Program[name]) >>> 3] = loaded[name];
  memory.store32(table + FileTable.program, program);
  return path !== 0 && auxv !== 0;
}

export function dropProgram(memory: Memory, table: number): void {
  const program = memory.loadU32(table + FileTable.program);
  if (program === 0) return;
  freeString(memory, memory.loadU32(program + Program.path));
  freeString(memory, memory.loadU32(program + Program.auxv));
  release(memory, program, Program.size);
  memory.store32(table + FileTable.program, 0);
}

/** Path of the program, empty before one was loaded. */
export function programPath(memory: Memory, table: number): string {
  const program = memory.loadU32(table + FileTable.program);
  const path = program === 0 ? 0 : memory.loadU32(program + Program.path);
  return path === 0 ? '' : loadString(memory, path);
}

export function programAuxv(memory: Memory, table: number): string {
  const program = memory.loadU32(table + FileTable.program);
  const auxv = program === 0 ? 0 : memory.loadU32(program + Program.auxv);
  return auxv === 0 ? '' : loadString(memory, auxv);
}

/** One of the addresses; 0 before a program was loaded. */
export function programNumber(
  memory: Memory,
  table: number,
  field: Exclude<keyof typeof Program, 'path' | 'auxv' | 'size'>,
): number {
  const program = memory.loadU32(table + FileTable.program);
  return program === 0 ? 0 : memory.f64[(program + Program[field]) >>> 3];
}
