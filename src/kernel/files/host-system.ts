import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  opendirSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Memory } from '../../memory/memory.js';
import { hostPath } from './host.js';
import { type Attributes, hostAttributes } from './stat.js';

/** Who runs the machine, and where. */
export interface HostIdentity {
  readonly uid: number;
  readonly euid: number;
  readonly gid: number;
  readonly egid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  readonly umask: number;
  /** Working directory, a byte string. */
  readonly cwd: string;
}

export interface HostEntry {
  /** A byte string. */
  readonly name: string;
  readonly ino: bigint;
  /** st_mode. */
  readonly mode: number;
}

/**
 * All that the kernel asks of the host's file system. What fails throws, with `code` as node:fs has it.
 *
 * A machine whose runs are to be repeated has one of its own (`setHostSystem`), which answers the same each time.
 */
export interface HostSystem {
  /** @param flags the host's O_* @param mode permissions of a new file, whatever the host's umask is */
  open(path: Buffer, flags: number, mode: number): number;
  /** A new file without a name. */
  temporary(): number;
  close(fd: number): void;
  /** @param position null for a stream @returns bytes read */
  read(fd: number, into: Uint8Array, position: number | null): number;
  write(fd: number, from: Uint8Array, position: number | null): number;
  /** Makes an open file so long. */
  resize(fd: number, length: number): void;
  sync(fd: number, withAttributes: boolean): void;
  attributes(of: number | Buffer, follow: boolean): Attributes;
  /** f_type, f_bsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree of statfs(2). */
  volume(path: Buffer): readonly bigint[];
  /** access(2): throws if it is refused. */
  access(path: Buffer, bits: number): void;
  readlink(path: Buffer): Buffer;
  realpath(path: Buffer): Buffer;
  /** The entries of a directory, "." and ".." first, in the host's order. @param path a byte string */
  list(path: string): HostEntry[];
  /** A call is about to change names or attributes; throws if that must not be. */
  changes(what: number | Buffer): void;
  identity(): HostIdentity;
  /** The text of /proc/mounts. */
  mounts(): string;
  /** What /proc/self/fd says of a standard stream. */
  streamName(stream: number): string;
}

const NOBODY = 65534;

/** Supplementary groups. Node adds the effective group to its list, so Linux is asked directly. */
function supplementaryGroups(): number[] {
  try {
    const line = /^Groups:(.*)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
    if (line) return line[1].split(/\s+/).filter(Boolean).map(Number);
  } catch {
    // No Linux host.
  }
  return process.getgroups?.() ?? [];
}

/** The host itself. */
export const realHost: HostSystem = {
  open(path, flags, mode) {
    // The host's umask applies too: where it takes more away than the guest's, new files get their permissions afterwards.
    const adjust =
      (flags & constants.O_CREAT) !== 0 &&
      (mode & process.umask()) !== 0 &&
      lstatSync(path, { throwIfNoEntry: false }) === undefined;
    const fd = openSync(path, flags, mode);
    if (adjust && fstatSync(fd).isFile()) fchmodSync(fd, mode);
    return fd;
  },
  temporary() {
    const path = join(tmpdir(), `europa-memfd-${process.pid}-${process.hrtime.bigint()}`);
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    unlinkSync(path);
    return fd;
  },
  close: closeSync,
  read: (fd, into, position) => readSync(fd, into, 0, into.length, position),
  write: (fd, from, position) => writeSync(fd, from, 0, from.length, position),
  resize: ftruncateSync,
  sync: (fd, withAttributes) => (withAttributes ? fsyncSync : fdatasyncSync)(fd),
  attributes(of, follow) {
    if (typeof of === 'number') return hostAttributes(fstatSync(of, { bigint: true }));
    return hostAttributes((follow ? statSync : lstatSync)(of, { bigint: true }));
  },
  volume(path) {
    const s = statfsSync(path, { bigint: true });
    return [s.type, s.bsize, s.blocks, s.bfree, s.bavail, s.files, s.ffree];
  },
  access: accessSync,
  readlink: (path) => readlinkSync(path, { encoding: 'buffer' }),
  realpath: (path) => realpathSync.native(path, 'buffer'),
  list(path) {
    const entries: HostEntry[] = ['.', '..'].map((name) => {
      const { ino, mode } = statSync(hostPath(`${path}/${name}`), { bigint: true });
      return { name, ino, mode: Number(mode) };
    });
    // Byte strings: names need not be UTF-8. In the order the host has them, which readdir would sort.
    const directory = opendirSync(hostPath(path) as unknown as string, {
      encoding: 'latin1' as BufferEncoding,
      bufferSize: 256,
    });
    try {
      for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
        const { name } = entry;
        const found = lstatSync(hostPath(`${path}/${name}`), { bigint: true, throwIfNoEntry: false });
        if (found) entries.push({ name, ino: found.ino, mode: Number(found.mode) });
      }
    } finally {
      directory.closeSync();
    }
    return entries;
  },
  changes: () => {},
  identity: () => ({
    uid: process.getuid?.() ?? NOBODY,
    euid: process.geteuid?.() ?? NOBODY,
    gid: process.getgid?.() ?? NOBODY,
    egid: process.getegid?.() ?? NOBODY,
    groups: supplementaryGroups(),
    umask: process.umask(),
    cwd: Buffer.from(process.cwd(), 'utf8').toString('latin1'),
  }),
  mounts() {
    try {
      return readFileSync('/proc/mounts', 'latin1');
    } catch {
      return '';
    }
  },
  streamName(stream) {
    try {
      return readlinkSync(`/proc/self/fd/${stream}`, 'latin1' as BufferEncoding);
    } catch {
      return '/dev/console';
    }
  },
};

const systems = new WeakMap<Memory, HostSystem>();

/** The host as a machine sees it. */
export function hostOf(memory: Memory): HostSystem {
  return systems.get(memory) ?? realHost;
}

/** To be called before the machine's program is loaded, by the one thread that hosts the machine. */
export function setHostSystem(memory: Memory, system: HostSystem): void {
  systems.set(memory, system);
}
