import { LegacyArea, XSAVE_BYTES } from '../../cpu/xsave.js';
import { struct } from '../../memory/struct.js';

/** The structs of a signal frame, exactly as Linux x86-64 writes them to the user's stack. */

/** struct sigcontext (arch/x86/include/uapi/asm/sigcontext.h). */
const sigcontextFields = {
  r8: 'u64',
  r9: 'u64',
  r10: 'u64',
  r11: 'u64',
  r12: 'u64',
  r13: 'u64',
  r14: 'u64',
  r15: 'u64',
  rdi: 'u64',
  rsi: 'u64',
  rbp: 'u64',
  rbx: 'u64',
  rdx: 'u64',
  rax: 'u64',
  rcx: 'u64',
  rsp: 'u64',
  rip: 'u64',
  eflags: 'u64',
  cs: 'u16',
  gs: 'u16',
  fs: 'u16',
  ss: 'u16',
  err: 'u64',
  trapno: 'u64',
  oldmask: 'u64',
  cr2: 'u64',
  fpstate: 'u64',
  reserved: ['u64', 8],
} as const;

/** siginfo_t (include/uapi/asm-generic/siginfo.h); a union from byte 16 on, 128 bytes in all, of which 48 are ever used. */
export const SigInfo = struct({
  signo: 'i32',
  errno: 'i32',
  code: 'i32',
  pad: 'i32',
  /** kill, tkill, sigqueue and SIGCHLD: sender's pid and uid. POSIX timers: timer id and overrun. */
  pid: 'i32',
  uid: 'i32',
  /** sigqueue and timers: the value; SIGCHLD: the status. */
  value: 'u64',
  /** SIGSEGV with SEGV_PKUERR: the key. (SIGCHLD: user time.) */
  pkey: 'u64',
  systemTime: 'u64',
});

/** Byte offset of si_addr of SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGTRAP: the same place as si_pid. */
export const SI_ADDR = SigInfo.pid;
export const SIGINFO_BYTES = 128;

/** struct rt_sigframe (arch/x86/include/asm/sigframe.h): return address, ucontext, siginfo. RSP points at it in the handler. */
export const SigFrame = struct({
  pretcode: 'u64',
  /** struct ucontext. */
  ucFlags: 'u64',
  ucLink: 'u64',
  stackPointer: 'u64',
  stackFlags: 'u32',
  stackPad: 'u32',
  stackSize: 'u64',
  ...sigcontextFields,
  sigmask: 'u64',
  info: { bytes: SIGINFO_BYTES, align: 8 },
});

/** Offset of the ucontext, the handler's third argument. */
export const FRAME_UCONTEXT = SigFrame.ucFlags;

/** uc_flags (arch/x86/include/uapi/asm/ucontext.h). */
export const Uc = { FP_XSTATE: 1, SIGCONTEXT_SS: 2, STRICT_RESTORE_SS: 4 } as const;

/** Segment selectors of 64-bit user code. */
export const USER_CS = 0x33;
export const USER_SS = 0x2b;

/** struct _fpx_sw_bytes, in the software area of the FXSAVE image (byte 464). */
export const FpSoftware = struct({
  magic1: 'u32',
  extendedSize: 'u32',
  xfeatures: 'u64',
  xstateSize: 'u32',
  padding: ['u32', 7],
});
export const FP_SOFTWARE = LegacyArea.software;
export const FP_XSTATE_MAGIC1 = 0x4650_5853;
export const FP_XSTATE_MAGIC2 = 0x4650_5845;

/** Bytes of the floating-point part: the XSAVE image in standard format and, after it, MAGIC2. */
export const FP_BYTES = XSAVE_BYTES + 4;

/** The 128 bytes below RSP belong to the interrupted function (x86-64 psABI 3.2.2). */
export const RED_ZONE = 128;
