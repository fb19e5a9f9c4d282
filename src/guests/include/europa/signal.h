/*
 * Signals as the kernel sees them: sigaction with a restorer, siginfo and the frame (arch/x86/include/uapi/asm/sigcontext.h,
 * ucontext.h; include/uapi/asm-generic/siginfo.h).
 */
#ifndef EUROPA_SIGNAL_H
#define EUROPA_SIGNAL_H

#include "types.h"

enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGUSR1 = 10, SIGSEGV = 11, SIGUSR2 = 12 };
enum { SEGV_MAPERR = 1, SEGV_ACCERR = 2, SEGV_PKUERR = 4 };
enum { SA_SIGINFO = 4, SA_ONSTACK = 0x08000000, SA_RESTORER = 0x04000000, SA_RESTART = 0x10000000, SA_NODEFER = 0x40000000 };
enum { SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2 };

struct siginfo {
  i32 signal, error, code, padding;
  u64 address; /* si_addr */
  u64 address_lsb;
  u32 key; /* si_pkey, at byte 0x20 */
  u8 rest[92];
};

enum {
  REG_R8,
  REG_R9,
  REG_R10,
  REG_R11,
  REG_R12,
  REG_R13,
  REG_R14,
  REG_R15,
  REG_RDI,
  REG_RSI,
  REG_RBP,
  REG_RBX,
  REG_RDX,
  REG_RAX,
  REG_RCX,
  REG_RSP,
  REG_RIP,
  REG_EFLAGS,
  REG_SELECTORS,
  REG_ERROR,
  REG_TRAP,
  REG_OLDMASK,
  REG_CR2,
  REG_COUNT
};

struct ucontext {
  u64 flags;
  struct ucontext *link;
  struct {
    u64 base;
    i32 flags, padding;
    u64 bytes;
  } stack;
  u64 registers[REG_COUNT];
  u8 *fpstate; /* standard-format XSAVE image, or NULL */
  u64 reserved[8];
  u64 mask;
};

enum { FP_XSTATE_MAGIC1 = 0x46505853, FP_SW_BYTES_OFFSET = 464 };

typedef void (*signal_handler)(int signal, struct siginfo *info, struct ucontext *context);

/* Installs a handler; SA_SIGINFO and SA_RESTORER are added to `flags`. `handler` NULL restores the default action. */
long install_handler(int signal, signal_handler handler, u32 flags);

/* rt_sigprocmask with one 64-bit mask (bit signal−1). */
long change_mask(int how, u64 mask);

/*
 * PKRU in a frame's XSAVE image. XSTATE_BV[9]=0 stands for the initial value 0. frame_has_pkru is false when the frame has
 * no extended state (no PKU).
 */
bool frame_has_pkru(const struct ucontext *context);
u32 frame_pkru(const struct ucontext *context);
void frame_set_pkru(struct ucontext *context, u32 pkru);

#endif
