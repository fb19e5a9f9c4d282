/*
 * The `vdso` ABI: get and set without a system call.
 *
 * A thread registers an area of its own with pkey_area(area, bytes, flags), number 600:
 *   EINVAL  flags ≠ 0, bytes ≠ sizeof(struct pkey_area), or area not aligned to 32 bytes
 *   EFAULT  area is not writable memory
 *   EBUSY   this thread has registered one already
 * The kernel fills the area in and keeps `allocation_map` of every registered area of the mm current: pkey_alloc and
 * pkey_free return only when the change is published. It reads nothing back: whatever user space writes there fools only
 * user space. clone starts unregistered, exec clears.
 *
 * The vDSO (AT_SYSINFO_EHDR) has, with the area as the last argument because it knows no thread:
 *   int __vdso_pkey_get(int key, const struct pkey_area *area);
 *   int __vdso_pkey_set(int key, unsigned rights, struct pkey_area *area);
 * They answer what pkey_get(key, 0) and pkey_set(key, rights, 0) answer; with area NULL, or no area's magic in it, they make
 * those system calls. The rights themselves are PKRU; `rights` is a copy for debuggers, written by the kernel at
 * registration and by get and set of this thread, stale after a raw WRPKRU.
 */
#ifndef EUROPA_VDSO_H
#define EUROPA_VDSO_H

#include "pkey.h"
#include "pkru.h"
#include "syscall.h"
#include "types.h"

#define PKEY_AREA_MAGIC 0x59454b50u /* "PKEY" in memory */

struct pkey_area {
  u32 magic;          /* 0  PKEY_AREA_MAGIC, written by the kernel */
  u32 size;           /* 4  sizeof(struct pkey_area), written by the kernel */
  u32 allocation_map; /* 8  bit k: key k is allocated */
  u32 reserved;       /* 12 zero */
  u8 rights[16];      /* 16 AD | WD of each key */
};

static inline long sys_pkey_area(struct pkey_area *area, size_t bytes, u64 flags) {
  return syscall3(SYS_pkey_area, (long)area, bytes, flags);
}

/* Address of a symbol of the vDSO, or NULL. */
void *vdso_symbol(const char *name);

/* Registers `area` (32-byte aligned, lives as long as the thread) for the calling thread. */
long vdso_register(struct pkey_area *area);

/* Through the vDSO with the calling thread's area; by system call when there is no vDSO or no area. */
long vdso_pkey_get(int key);
long vdso_pkey_set(int key, u32 rights);

#endif
