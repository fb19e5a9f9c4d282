import { CpuState, Segment } from '../cpu/state.js';
import { PAGE_SIZE } from '../memory/memory.js';
import { framesTotal, framesUsed } from '../mmu/frames.js';
import { TASK_SIZE } from '../loader/elf.js';
import { Errno } from './errno.js';
import { hostOf } from './files/host-system.js';
import { readUser, writeUser } from './files/links.js';
import { UserBuffer } from './files/user-buffer.js';
import { NODENAME, RELEASE, VERSION } from './files/version.js';
import type { KernelCpu } from './kernel-cpu.js';
import { limitsSyscalls } from './limits.js';
import { randomBytes } from './random.js';
import type { SyscallTable } from './syscalls.js';
import { Process, Task, Tasks, tasksPointer } from './task.js';

/** Calls about the system and about the identity of processes. */

/** Copies to user memory: 0 or −EFAULT. */
function put(k: KernelCpu, address: number, bytes: Uint8Array): number {
  return writeUser(k, address, bytes) === bytes.length ? 0 : -Errno.EFAULT;
}

function putWords(k: KernelCpu, address: number, words: Int32Array): number {
  return put(k, address, new Uint8Array(words.buffer));
}

const UTSNAME_FIELD = 65;

/** struct new_utsname: sysname, nodename, release, version, machine, domainname. */
function uname(k: KernelCpu, address: number): number {
  const bytes = new Uint8Array(6 * UTSNAME_FIELD);
  ['Linux', NODENAME, RELEASE, VERSION, 'x86_64', '(none)'].forEach((field, i) => {
    bytes.set(Buffer.from(field, 'latin1'), i * UTSNAME_FIELD);
  });
  return put(k, address, bytes);
}

/** struct sysinfo, 112 bytes. */
function sysinfo(k: KernelCpu, address: number): number {
  const { memory } = k;
  const view = new DataView(new ArrayBuffer(112));
  const u64 = (at: number, value: number) => view.setBigUint64(at, BigInt(value), true);
  u64(0, Math.floor(k.now() / 1e9));
  u64(32, framesTotal(memory) * PAGE_SIZE);
  u64(40, (framesTotal(memory) - framesUsed(memory)) * PAGE_SIZE);
  view.setUint16(80, memory.load32(tasksPointer(memory) + Tasks.taskCount), true);
  view.setUint32(104, 1, true);
  return put(k, address, new Uint8Array(view.buffer));
}

const GRND_FLAGS = 7;
const GRND_RANDOM = 2;
const GRND_INSECURE = 4;

/** Bytes from the host's source, or from the seed's in a seeded machine; never blocks. */
function getrandom(k: KernelCpu, address: number, length: number, flags: number): number {
  const exclusive = GRND_RANDOM | GRND_INSECURE;
  if (flags & ~GRND_FLAGS || (flags & exclusive) === exclusive) return -Errno.EINVAL;
  const to = UserBuffer.single(k, address, Math.min(length, 0x7fff_ffff));
  if (typeof to === 'number') return to;
  const bytes = new Uint8Array(4096);
  let done = 0;
  while (to.remaining > 0) {
    const part = bytes.subarray(0, Math.min(bytes.length, to.remaining));
    randomBytes(k.memory, part);
    const copied = to.push(part);
    done += copied;
    if (copied < part.length) return done || -Errno.EFAULT;
  }
  return done;
}

const Arch = { SET_GS: 0x1001, SET_FS: 0x1002, GET_FS: 0x1003, GET_GS: 0x1004, GET_CPUID: 0x1011 } as const;

/** arch_prctl(2). The calls about optional state components do not exist: none of the components does. */
function archPrctl(k: KernelCpu, code: number, address: number): number {
  const fs = code === Arch.SET_FS || code === Arch.GET_FS;
  const base = k.cpu.base + (fs ? CpuState.fsBase : CpuState.gsBase);
  switch (code) {
    case Arch.SET_FS:
    case Arch.SET_GS:
      if (address >= TASK_SIZE) return -Errno.EPERM;
      k.memory.storeNumber(base, address);
      // A base of its own goes with the null selector.
      k.memory.u16[(k.cpu.base + CpuState.selectors + 2 * (fs ? Segment.FS : Segment.GS)) >>> 1] = 0;
      return 0;
    case Arch.GET_FS:
    case Arch.GET_GS:
      return put(k, address, k.memory.u8.slice(base, base + 8));
    case Arch.GET_CPUID:
      return 1;
    default:
      return -Errno.EINVAL;
  }
}

const Pr = {
  SET_PDEATHSIG: 1,
  GET_PDEATHSIG: 2,
  GET_DUMPABLE: 3,
  SET_DUMPABLE: 4,
  GET_KEEPCAPS: 7,
  SET_NAME: 15,
  GET_NAME: 16,
  CAPBSET_READ: 23,
  SET_TIMERSLACK: 29,
  GET_TIMERSLACK: 30,
  SET_CHILD_SUBREAPER: 36,
  GET_CHILD_SUBREAPER: 37,
  SET_NO_NEW_PRIVS: 38,
  GET_NO_NEW_PRIVS: 39,
  GET_THP_DISABLE: 42,
} as const;

const TASK_COMM_LEN = 16;
const LAST_CAPABILITY = 40;

/** prctl(2), as far as it says something about a machine with one program. */
function prctl(k: KernelCpu, option: number, argument: number): number {
  const { memory } = k;
  switch (option) {
    case Pr.SET_NAME: {
      const name = new Uint8Array(TASK_COMM_LEN);
      const count = readUser(k, argument, name.subarray(0, TASK_COMM_LEN - 1));
      const end = name.subarray(0, count).indexOf(0);
      if (end < 0 && count < TASK_COMM_LEN - 1) return -Errno.EFAULT;
      name.fill(0, end < 0 ? TASK_COMM_LEN - 1 : end);
      memory.u8.set(name, k.task + Task.comm);
      return 0;
    }
    case Pr.GET_NAME:
      return put(k, argument, memory.u8.slice(k.task + Task.comm, k.task + Task.comm + TASK_COMM_LEN));
    case Pr.SET_PDEATHSIG:
      return argument > 64 ? -Errno.EINVAL : 0;
    case Pr.GET_PDEATHSIG:
    case Pr.GET_CHILD_SUBREAPER:
      return putWords(k, argument, Int32Array.of(0));
    case Pr.GET_DUMPABLE:
      return 1;
    case Pr.SET_DUMPABLE:
      return argument > 1 ? -Errno.EINVAL : 0;
    case Pr.CAPBSET_READ:
      return argument > LAST_CAPABILITY ? -Errno.EINVAL : 0;
    case Pr.GET_TIMERSLACK:
      return 50_000;
    case Pr.SET_NO_NEW_PRIVS:
      return argument === 1 ? 0 : -Errno.EINVAL;
    case Pr.GET_KEEPCAPS:
    case Pr.SET_TIMERSLACK:
    case Pr.SET_CHILD_SUBREAPER:
    case Pr.GET_NO_NEW_PRIVS:
    case Pr.GET_THP_DISABLE:
      return 0;
    default:
      return -Errno.EINVAL;
  }
}

const CAPABILITY_VERSION_3 = 0x2008_0522;
const CAPABILITY_VERSIONS = [0x1998_0330, 0x2007_1026, CAPABILITY_VERSION_3];

/** capget(2): nobody here has capabilities; what is allowed is up to the host. */
function capget(k: KernelCpu, header: number, data: number): number {
  const words = new Int32Array(2);
  if (readUser(k, header, new Uint8Array(words.buffer)) < 8) return -Errno.EFAULT;
  const [version, pid] = words;
  if (!CAPABILITY_VERSIONS.includes(version)) {
    const error = putWords(k, header, Int32Array.of(CAPABILITY_VERSION_3));
    return error || (data === 0 ? 0 : -Errno.EINVAL);
  }
  if (pid < 0) return -Errno.EINVAL;
  if (pid !== 0 && pid !== k.pid) return -Errno.ESRCH;
  if (data === 0) return 0;
  return put(k, data, new Uint8Array(version === CAPABILITY_VERSIONS[0] ? 12 : 24));
}

const id = (offset: number) => (k: KernelCpu) => k.memory.load32(k.process + offset);

/** Ids can be "changed" only to what they are: they are the host's, whose files the program uses. −1 leaves one alone. */
const setIds =
  (real: number, effective: number) =>
  (k: KernelCpu, ...ids: number[]) => {
    const mine = [id(real)(k), id(effective)(k)];
    return ids.every((wanted) => wanted === -1 || mine.includes(wanted)) ? 0 : -Errno.EPERM;
  };

const setUser = setIds(Process.uid, Process.euid);
const setGroup = setIds(Process.gid, Process.egid);

/** getresuid and getresgid. */
const getIds = (real: number, effective: number) => (k: KernelCpu, r: number, e: number, s: number) =>
  putWords(k, r, Int32Array.of(id(real)(k))) ||
  putWords(k, e, Int32Array.of(id(effective)(k))) ||
  putWords(k, s, Int32Array.of(id(effective)(k)));

/** The host user's supplementary groups. */
function getgroups(k: KernelCpu, size: number, list: number): number {
  const { groups } = hostOf(k.memory).identity();
  if (size < 0) return -Errno.EINVAL;
  if (size === 0) return groups.length;
  if (size < groups.length) return -Errno.EINVAL;
  return putWords(k, list, Int32Array.from(groups)) || groups.length;
}

/** Only the current personality (PER_LINUX) exists. */
function personality(_k: KernelCpu, wanted: number): number {
  const QUERY = 0xffff_ffff;
  const ADDR_NO_RANDOMIZE = 0x0004_0000;
  return wanted === QUERY || (wanted & ~ADDR_NO_RANDOMIZE) === 0 ? 0 : -Errno.EINVAL;
}

const notPermitted = () => -Errno.EPERM;

/** No process has children, whatever is asked about them. */
const noChild = () => -Errno.ECHILD;

export const systemSyscalls: SyscallTable = {
  ...limitsSyscalls,
  61: { name: 'wait4', args: 'dpfp', handler: noChild },
  63: { name: 'uname', args: 'p', handler: uname },
  99: { name: 'sysinfo', args: 'p', handler: sysinfo },
  101: { name: 'ptrace', args: 'xdpp', handler: notPermitted },
  102: { name: 'getuid', args: '', handler: id(Process.uid) },
  103: { name: 'syslog', args: 'dpd', handler: notPermitted },
  104: { name: 'getgid', args: '', handler: id(Process.gid) },
  105: { name: 'setuid', args: 'd', handler: (k, uid) => (uid === -1 ? -Errno.EINVAL : setUser(k, uid)) },
  106: { name: 'setgid', args: 'd', handler: (k, gid) => (gid === -1 ? -Errno.EINVAL : setGroup(k, gid)) },
  107: { name: 'geteuid', args: '', handler: id(Process.euid) },
  108: { name: 'getegid', args: '', handler: id(Process.egid) },
  113: { name: 'setreuid', args: 'dd', handler: (k, r, e) => setUser(k, r, e) },
  114: { name: 'setregid', args: 'dd', handler: (k, r, e) => setGroup(k, r, e) },
  115: { name: 'getgroups', args: 'dp', handler: getgroups },
  116: { name: 'setgroups', args: 'dp', handler: notPermitted },
  117: { name: 'setresuid', args: 'ddd', handler: (k, r, e, s) => setUser(k, r, e, s) },
  118: { name: 'getresuid', args: 'ppp', handler: getIds(Process.uid, Process.euid) },
  119: { name: 'setresgid', args: 'ddd', handler: (k, r, e, s) => setGroup(k, r, e, s) },
  120: { name: 'getresgid', args: 'ppp', handler: getIds(Process.gid, Process.egid) },
  122: { name: 'setfsuid', args: 'd', handler: id(Process.euid) },
  123: { name: 'setfsgid', args: 'd', handler: id(Process.egid) },
  125: { name: 'capget', args: 'pp', handler: capget },
  126: { name: 'capset', args: 'pp', handler: notPermitted },
  135: { name: 'personality', args: 'f', handler: personality },
  157: { name: 'prctl', args: 'dpppp', handler: prctl },
  158: { name: 'arch_prctl', args: 'fp', handler: archPrctl },
  161: { name: 'chroot', args: 's', handler: notPermitted },
  165: { name: 'mount', args: 'sssxp', handler: notPermitted },
  166: { name: 'umount2', args: 'sf', handler: notPermitted },
  169: { name: 'reboot', args: 'ffxp', handler: notPermitted },
  170: { name: 'sethostname', args: 'sz', handler: notPermitted },
  171: { name: 'setdomainname', args: 'sz', handler: notPermitted },
  172: { name: 'iopl', args: 'u', handler: notPermitted },
  173: { name: 'ioperm', args: 'xxd', handler: notPermitted },
  247: { name: 'waitid', args: 'ddpfp', handler: noChild },
  318: { name: 'getrandom', args: 'pzf', handler: getrandom },
};
