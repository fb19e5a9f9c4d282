/*
 * The protection-key system calls of every ABI, and ways to come by a key under each. All answer −errno for an error.
 */
#ifndef EUROPA_PKEY_H
#define EUROPA_PKEY_H

#include "pkru.h"
#include "sync.h"
#include "syscall.h"
#include "types.h"

/* Every ABI. */
static inline long sys_pkey_mprotect(void *address, size_t bytes, int prot, int key) {
  return syscall4(SYS_pkey_mprotect, (long)address, bytes, prot, key);
}

/* All but `minimal`. */
static inline long sys_pkey_alloc(u64 flags, u64 rights) { return syscall2(SYS_pkey_alloc, flags, rights); }
static inline long sys_pkey_free(int key) { return syscall1(SYS_pkey_free, key); }

/*
 * `mm-bitmap`, `task-bitmap`, `hybrid` and `vdso`. Linux has since given the numbers to statx and io_pgetevents: there, with
 * these arguments, they answer an error (EFAULT, EINVAL) and change nothing.
 */
static inline long sys_pkey_get(int key, u64 flags) { return syscall6(SYS_pkey_get, key, flags, 0, 0, 0, 0); }
static inline long sys_pkey_set(int key, u64 rights, u64 flags) { return syscall3(SYS_pkey_set, key, rights, flags); }

/* How keys are obtained. `hybrid` counts as probed until the first alloc, free, get or set; asking does not switch it. */
enum key_style {
  KEYS_NONE,     /* no PKU, or a kernel without protection keys */
  KEYS_PROBED,   /* pkey_mprotect answers EOPNOTSUPP for what is not available: user space organises indices */
  KEYS_ALLOCATED /* pkey_alloc and pkey_free */
};
enum key_style key_style(void);

/* The probe of `minimal` (M7): does the index exist for user space? Changes nothing unless page 0 is mapped. */
bool probe_key(int prot, int key);

/* Bit k is set when the probe says that index k, 1–15, is available. Only meaningful under KEYS_PROBED. */
u16 probe_keys(int prot);

/*
 * User-space allocator for `minimal`. One key_pool with its lock serves a process; a thread that keeps rights and pages to
 * itself may have a pool of its own, which then needs no lock (thread_pool_take), but shares indices with other threads' pools.
 * Zero is a pool from which nothing was taken. take answers the lowest free index or −ENOSPC.
 */
struct key_pool {
  struct mutex lock;
  u16 probed; /* what the probe answered; 0: not asked yet */
  u16 taken;
};
int pool_take(struct key_pool *pool);
long pool_give(struct key_pool *pool, int key);
int thread_pool_take(struct key_pool *pool);
long thread_pool_give(struct key_pool *pool, int key);

/*
 * A key by whichever way the machine has, with the caller's rights set: pkey_alloc, or the process-wide pool and WRPKRU.
 * give frees it the same way.
 */
int take_key(u32 rights);
long give_key(int key);

/* Ends the program with EXIT_SKIPPED unless the machine has protection keys, of one of the wanted styles. */
void need_keys(void);
void need_style(enum key_style style);

#endif
