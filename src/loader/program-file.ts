import { accessSync, closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { ByteSource } from './elf.js';
import { LoadError } from './load-error.js';

/** A program's file, open for reading. `path` is as the user wrote it. Close it when loading is done. */
export class ProgramFile implements ByteSource {
  private constructor(
    readonly path: string,
    readonly fd: number,
    readonly size: number,
  ) {}

  /**
   * Opens a program as execve would: a regular file that the user may execute.
   * @throws LoadError
   */
  static open(path: string): ProgramFile {
    let fd: number;
    try {
      // O_NONBLOCK: opening a FIFO must not wait for a writer.
      fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw new LoadError(path, describe(error));
    }
    try {
      const stat = fstatSync(fd);
      if (stat.isDirectory()) throw new LoadError(path, 'is a directory');
      if (!stat.isFile()) throw new LoadError(path, 'not a regular file');
      // access(2) lets root execute only what somebody may execute.
      try {
        accessSync(path, constants.X_OK);
      } catch {
        throw new LoadError(path, 'permission denied: the file is not executable (chmod +x it)');
      }
      return new ProgramFile(path, fd, stat.size);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  read(offset: number, bytes: number): Uint8Array {
    const available = Math.max(0, Math.min(bytes, this.size - offset));
    const data = new Uint8Array(available);
    return data.subarray(0, this.readInto(offset, data));
  }

  /** Fills `data` (which may be shared memory) from `offset` on; returns the bytes read, fewer only at the end. */
  readInto(offset: number, data: Uint8Array): number {
    let done = 0;
    while (done < data.length) {
      let count: number;
      try {
        count = readSync(this.fd, data, done, data.length - done, offset + done);
      } catch (error) {
        throw new LoadError(this.path, describe(error));
      }
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  close(): void {
    closeSync(this.fd);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  ENOTDIR: 'no such file (a part of the path is not a directory)',
  ELOOP: 'too many levels of symbolic links',
  ENAMETOOLONG: 'file name too long',
  EMFILE: 'too many open files',
  EIO: 'input/output error',
};

function describe(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code === 'ERR_INVALID_ARG_VALUE') return 'no such file (the path contains a null byte)';
  return REASONS[code] ?? `cannot be read (${code || String(error)})`;
}
