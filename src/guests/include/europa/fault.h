/*
 * Accesses that may fault, caught and described. Recovery is by the frame: the handler points the frame's RIP and RSP at
 * the guard and returns, so that rt_sigreturn restores mask and PKRU of the access.
 */
#ifndef EUROPA_FAULT_H
#define EUROPA_FAULT_H

#include "types.h"

/* Bits of a page fault's error code (SDM vol. 3, 4.7). */
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_RESERVED = 8, PF_FETCH = 16, PF_PK = 32 };

struct fault {
  i32 signal;
  i32 code;    /* si_code */
  u64 address; /* si_addr */
  u64 rip;     /* of the access */
  u32 key;     /* si_pkey; only meaningful for SEGV_PKUERR */
  u32 error;   /* error code of the exception, from the frame's REG_ERR */
  u32 trap;    /* vector of the exception, from the frame's REG_TRAPNO */
  u32 pkru;    /* at the access, from the frame's XSAVE image */
};

/* Installs the handler for SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGTRAP. Outside a guard the default action follows. */
void catch_faults(void);

/* Calls function(argument); false when it faulted, with *fault filled in (fault may be NULL). Guards nest. */
bool guarded(void (*function)(void *), void *argument, struct fault *fault);

/* One access each of 8 bytes; true when it succeeded. Not to be retried: an address is accessed exactly once. */
bool try_read(const volatile void *address, u64 *value, struct fault *fault);
bool try_write(volatile void *address, u64 value, struct fault *fault);

/* Calls the code at `address`, which must be a function without arguments. */
bool try_exec(const void *address, struct fault *fault);

/*
 * The fault is a protection-key denial at exactly this address, by this key. The error code has PF_PK unless the page was not
 * present yet: then the kernel denies by the key of the mapping, before it would bring the page in.
 */
bool is_key_fault(const struct fault *fault, const volatile void *address, int key);

#endif
