import { readFileSync, readlinkSync } from 'node:fs';

/** Where the host's standard input, a regular file, stands, and its path; from the start and unnamed if the host doesn't tell. */
export function standardPosition(): { position: number; path?: string } {
  try {
    const info = /^pos:\s*(\d+)/.exec(readFileSync('/proc/self/fdinfo/0', 'latin1'));
    return {
      position: Number(info?.[1] ?? 0),
      path: readlinkSync('/proc/self/fd/0', 'latin1' as BufferEncoding),
    };
  } catch {
    return { position: 0 };
  }
}
