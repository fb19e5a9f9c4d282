import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type HostEntry, type HostIdentity, type HostSystem, realHost } from '../kernel/files/host-system.js';
import { type Attributes, FileType } from '../kernel/files/stat.js';
import { HostRefusal } from './host-refusal.js';

/** What the host has answered to a question: a value, or the error code that node:fs gave. */
type Answer = { readonly value: unknown } | { readonly error: string };

/** A file's contents as they were when a run first looked at them. */
interface RecordedFile {
  readonly sha256: string;
  /** Base64; absent from files that are too large for a replay file. */
  readonly bytes?: string;
}

/** Everything that runs were told about their host. Plain data, JSON as it stands. */
export interface HostRecording {
  /** By question: "attributes /etc/passwd". Numbers of 64 bits are decimal strings. */
  readonly answers: Record<string, Answer>;
  /** By path, a byte string. */
  readonly files: Record<string, RecordedFile>;
}

/** Bytes of a file, and of all files, that a recording holds; of larger files it holds the hash. */
const FILE_BYTES = 1 << 20;
const ALL_BYTES = 16 << 20;
/** Largest file that a seeded machine opens: its contents are kept in memory. */
const MOST_BYTES = 256 << 20;

const NOT_SEEDED = 'which seeded schedules cannot repeat (--schedule free can do it)';

/** Descriptors begin here, so that none is taken for a standard stream. */
const FIRST_FD = 3;

interface OpenFile {
  readonly path: string;
  readonly attributes: Attributes;
  bytes: Uint8Array;
  /** A file without a name, the only kind that may be written to. */
  readonly temporary: boolean;
}

/** The open files at one moment. */
export interface HostState {
  readonly files: ReadonlyMap<number, OpenFile>;
  readonly next: number;
}

/**
 * The host as a machine sees it whose runs can be repeated: what was looked at once stays as it was then, whatever becomes of it
 * outside, and nothing outside is changed. What that rules out is refused by name.
 *
 * A recording that is complete, of a run that is repeated, is answered from alone.
 */
export class RecordedHost implements HostSystem {
  readonly recording: { answers: Record<string, Answer>; files: Record<string, RecordedFile> };
  private readonly contents = new Map<string, Uint8Array>();
  private open_ = new Map<number, OpenFile>();
  private next = FIRST_FD;
  private recorded = 0;

  /**
   * @param from what was recorded before
   * @param complete whether nothing may be asked that is not recorded
   */
  constructor(
    from: HostRecording = { answers: {}, files: {} },
    private readonly complete = false,
  ) {
    this.recording = { answers: { ...from.answers }, files: { ...from.files } };
    for (const { bytes } of Object.values(from.files)) this.recorded += (bytes?.length ?? 0) * 0.75;
  }

  // --- for snapshots ---------------------------------------------------------------------------------------------------

  save(): HostState {
    return { files: copy(this.open_), next: this.next };
  }

  restore(state: HostState): void {
    this.open_ = copy(state.files);
    this.next = state.next;
  }

  // --- open files ------------------------------------------------------------------------------------------------------

  open(name: Buffer, flags: number, _mode: number): number {
    const path = name.toString('latin1');
    const writes =
      (flags & (constants.O_WRONLY | constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC)) !== 0;
    if (writes) throw new HostRefusal(path, `is opened for writing, ${NOT_SEEDED}`);
    const look = flags & (constants.O_DIRECTORY | constants.O_NOFOLLOW);
    const attributes = this.ask(`open ${look}`, path, () => {
      const fd = realHost.open(name, flags, 0);
      try {
        const found = realHost.attributes(fd, false);
        if (typeOf(found) === FileType.regular) this.load(path, () => readAll(path, fd, found));
        return attributesOut(found);
      } finally {
        realHost.close(fd);
      }
    });
    const found = attributesIn(attributes);
    const type = typeOf(found);
    if (type !== FileType.regular && type !== FileType.directory)
      throw new HostRefusal(path, `is opened and neither a regular file nor a directory, ${NOT_SEEDED}`);
    const bytes = type === FileType.regular ? this.load(path) : new Uint8Array(0);
    return this.add({ path, attributes: found, bytes, temporary: false });
  }

  temporary(): number {
    const attributes = { ...NO_ATTRIBUTES, ino: BigInt(this.next) };
    return this.add({ path: 'memfd', attributes, bytes: new Uint8Array(0), temporary: true });
  }

  private add(file: OpenFile): number {
    this.open_.set(this.next, file);
    return this.next++;
  }

  close(fd: number): void {
    this.open_.delete(fd);
  }

  private file(fd: number): OpenFile {
    const file = this.open_.get(fd);
    if (file === undefined) throw failure('EBADF');
    return file;
  }

  read(fd: number, into: Uint8Array, position: number | null): number {
    const { attributes, bytes } = this.file(fd);
    if (typeOf(attributes) === FileType.directory) throw failure('EISDIR');
    const part = bytes.subarray(position ?? 0, (position ?? 0) + into.length);
    into.set(part);
    return part.length;
  }

  write(fd: number, from: Uint8Array, position: number | null): number {
    const at = position ?? 0;
    if (at + from.length > this.file(fd).bytes.length) this.resize(fd, at + from.length);
    this.file(fd).bytes.set(from, at);
    return from.length;
  }

  resize(fd: number, length: number): void {
    const file = this.file(fd);
    if (!file.temporary) throw new HostRefusal(file.path, `is written to, ${NOT_SEEDED}`);
    if (length > MOST_BYTES) throw failure('EFBIG');
    const bytes = new Uint8Array(length);
    bytes.set(file.bytes.subarray(0, length));
    file.bytes = bytes;
  }

  sync(fd: number): void {
    this.file(fd);
  }

  // --- questions -------------------------------------------------------------------------------------------------------

  attributes(of: number | Buffer, follow: boolean): Attributes {
    if (typeof of === 'number') {
      const { attributes, bytes, temporary } = this.file(of);
      return temporary ? { ...attributes, size: BigInt(bytes.length) } : attributes;
    }
    const path = of.toString('latin1');
    const question = follow ? 'attributes' : 'own attributes';
    return attributesIn(this.ask(question, path, () => attributesOut(realHost.attributes(of, follow))));
  }

  volume(path: Buffer): bigint[] {
    return this.ask('volume', path.toString('latin1'), () => realHost.volume(path).map(String)).map(BigInt);
  }

  access(path: Buffer, bits: number): void {
    this.ask(`access ${bits}`, path.toString('latin1'), () => {
      realHost.access(path, bits);
      return true;
    });
  }

  readlink(path: Buffer): Buffer {
    const text = this.ask('link', path.toString('latin1'), () => realHost.readlink(path).toString('latin1'));
    return Buffer.from(text, 'latin1');
  }

  realpath(path: Buffer): Buffer {
    const real = () => realHost.realpath(path).toString('latin1');
    return Buffer.from(this.ask('real path', path.toString('latin1'), real), 'latin1');
  }

  list(path: string): HostEntry[] {
    const entries = this.ask('list', path, () =>
      realHost.list(path).map(({ name, ino, mode }) => [name, String(ino), mode] as const),
    );
    return entries.map(([name, ino, mode]) => ({ name, ino: BigInt(ino), mode }));
  }

  changes(what: number | Buffer): never {
    const path = typeof what === 'number' ? this.file(what).path : what.toString('latin1');
    throw new HostRefusal(path, `is created, renamed, removed or given other attributes, ${NOT_SEEDED}`);
  }

  identity(): HostIdentity {
    return this.ask('identity', '', () => realHost.identity());
  }

  mounts(): string {
    return this.ask('mounts', '', () => realHost.mounts());
  }

  streamName(stream: number): string {
    return `pipe:[${stream}]`;
  }

  /** The answer to a question: the recorded one, or the host's, which is recorded. `real` gives plain data. */
  private ask<T>(question: string, path: string, real: () => T): T {
    const key = path === '' ? question : `${question} ${path}`;
    let answer = Object.hasOwn(this.recording.answers, key) ? this.recording.answers[key] : null;
    if (answer === null) {
      if (this.complete) throw new HostRefusal(path || question, 'was not looked at by the recorded run');
      answer = attempt(real);
      this.recording.answers[key] = answer;
    }
    if ('error' in answer) throw failure(answer.error);
    return answer.value as T;
  }

  /** The contents of a file. @param real reads them, if they are not recorded yet */
  private load(path: string, real?: () => Uint8Array): Uint8Array {
    const known = this.contents.get(path);
    if (known !== undefined) return known;
    const recorded = Object.hasOwn(this.recording.files, path) ? this.recording.files[path] : null;
    let bytes: Uint8Array;
    if (recorded?.bytes !== undefined) bytes = Buffer.from(recorded.bytes, 'base64');
    else bytes = real?.() ?? readFile(path);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (recorded === null) {
      const fits = bytes.length <= FILE_BYTES && this.recorded + bytes.length <= ALL_BYTES;
      if (fits) this.recorded += bytes.length;
      this.recording.files[path] = fits
        ? { sha256, bytes: Buffer.from(bytes).toString('base64') }
        : { sha256 };
    } else if (sha256 !== recorded.sha256) {
      throw new HostRefusal(
        path,
        'has changed since the recorded run, and is too large to be in the replay file',
      );
    }
    this.contents.set(path, bytes);
    return bytes;
  }
}

/** What two recordings tell differently, by path or question. */
export function differences(a: HostRecording, b: HostRecording): string[] {
  const both = <T>(x: Record<string, T>, y: Record<string, T>) =>
    Object.keys(x).filter(
      (key) => Object.hasOwn(y, key) && JSON.stringify(x[key]) !== JSON.stringify(y[key]),
    );
  return [...both(a.files, b.files), ...both(a.answers, b.answers)];
}

function attempt(real: () => unknown): Answer {
  try {
    return { value: real() };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return { error: code };
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function readFile(path: string): Uint8Array {
  let fd: number;
  try {
    fd = realHost.open(Buffer.from(path, 'latin1'), constants.O_RDONLY | constants.O_NONBLOCK, 0);
  } catch (error) {
    throw new HostRefusal(path, `cannot be read any more (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    return readAll(path, fd, realHost.attributes(fd, false));
  } finally {
    realHost.close(fd);
  }
}

function readAll(path: string, fd: number, { size }: Attributes): Uint8Array {
  if (size > MOST_BYTES)
    throw new HostRefusal(
      path,
      `is larger than the ${MOST_BYTES >> 20} MiB that seeded schedules keep of a file`,
    );
  const pieces: Uint8Array[] = [];
  for (let at = 0; at <= MOST_BYTES; ) {
    const piece = new Uint8Array(Math.max(65536, Number(size) + 1 - at));
    const count = realHost.read(fd, piece, at);
    if (count === 0) break;
    pieces.push(piece.subarray(0, count));
    at += count;
  }
  return new Uint8Array(Buffer.concat(pieces));
}

function copy(files: ReadonlyMap<number, OpenFile>): Map<number, OpenFile> {
  return new Map(
    [...files].map(([fd, file]) => [fd, file.temporary ? { ...file, bytes: file.bytes.slice() } : file]),
  );
}

const typeOf = ({ mode }: Attributes): number => mode & FileType.mask;

const NO_ATTRIBUTES: Attributes = {
  dev: 1n,
  ino: 0n,
  nlink: 0n,
  mode: FileType.regular | 0o600,
  uid: 0,
  gid: 0,
  rdev: 0n,
  size: 0n,
  blksize: 4096n,
  blocks: 0n,
  atimeNs: 0n,
  mtimeNs: 0n,
  ctimeNs: 0n,
  btimeNs: 0n,
};

type Out = Record<string, string | number>;

/** Without the time of the last access, which looking changes: as on a volume mounted with noatime. */
function attributesOut(attributes: Attributes): Out {
  const out = Object.entries({ ...attributes, atimeNs: attributes.mtimeNs }).map(([name, value]) => [
    name,
    typeof value === 'bigint' ? String(value) : value,
  ]);
  return Object.fromEntries(out) as Out;
}

function attributesIn(out: Out): Attributes {
  const fields = Object.entries(out).map(([name, value]) => [
    name,
    typeof value === 'string' ? BigInt(value) : value,
  ]);
  return Object.fromEntries(fields) as Attributes;
}
