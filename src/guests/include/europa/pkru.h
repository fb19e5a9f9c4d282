/*
 * PKRU and the instructions that reach it (Intel SDM vol. 3, 4.6.2; vol. 2, RDPKRU, WRPKRU, XSAVE, XRSTOR).
 * Rights of a key are the two bits AD (1) and WD (2), as in pkeys(7).
 */
#ifndef EUROPA_PKRU_H
#define EUROPA_PKRU_H

#include "types.h"

enum { PKEY_DISABLE_ACCESS = 1, PKEY_DISABLE_WRITE = 2 };
enum { KEY_COUNT = 16 };

/* PKRU that denies every key but 0: Linux's init_pkru. */
#define PKRU_ONLY_KEY0 0x55555554u

static inline u32 rdpkru(void) {
  u32 value, upper;
  asm volatile("rdpkru" : "=a"(value), "=d"(upper) : "c"(0) : "memory");
  return value;
}

/* The memory clobber keeps accesses on the side of the switch where the source has them. */
static inline void wrpkru(u32 value) { asm volatile("wrpkru" ::"a"(value), "c"(0), "d"(0) : "memory"); }

static inline u32 pkru_rights(u32 pkru, int key) { return pkru >> (2 * key) & 3; }
static inline u32 pkru_with(u32 pkru, int key, u32 rights) {
  return (pkru & ~(3u << (2 * key))) | rights << (2 * key);
}

/* Sets this thread's rights for one key and leaves those of the others. */
static inline void set_rights(int key, u32 rights) { wrpkru(pkru_with(rdpkru(), key, rights)); }
static inline void open_key(int key) { set_rights(key, 0); }
static inline void shut_key(int key) { set_rights(key, PKEY_DISABLE_ACCESS); }

struct cpuid {
  u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(u32 leaf, u32 subleaf) {
  struct cpuid r;
  asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}

/* CPUID.7.0:ECX[4], OSPKE: RDPKRU and WRPKRU work. */
bool have_pku(void);

/* CPUID.1:ECX[27], OSXSAVE: XSAVE, XRSTOR and XGETBV work. */
bool have_xsave(void);

enum { XSAVE_LEGACY_BYTES = 512, XSAVE_HEADER_BYTES = 64, XSAVE_MAX_BYTES = 16384 };
enum { XSTATE_BV_OFFSET = 512, XCOMP_BV_OFFSET = 520 };
enum { XFEATURE_X87 = 1, XFEATURE_SSE = 2, XFEATURE_PKRU = 1 << 9 };

/* Byte offset of PKRU in a standard-format XSAVE image, from CPUID.(0Dh,9):EBX; 0 when there is none. */
u32 xsave_pkru_offset(void);

static inline u64 xgetbv(u32 index) {
  u32 low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
  return (u64)high << 32 | low;
}

/* `area` is aligned to 64 bytes and zero at first; `features` is the requested-feature bitmap. */
static inline void xsave(void *area, u64 features) {
  asm volatile("xsave64 (%0)" ::"r"(area), "a"((u32)features), "d"((u32)(features >> 32)) : "memory");
}
static inline void xsavec(void *area, u64 features) {
  asm volatile("xsavec64 (%0)" ::"r"(area), "a"((u32)features), "d"((u32)(features >> 32)) : "memory");
}
static inline void xrstor(const void *area, u64 features) {
  asm volatile("xrstor64 (%0)" ::"r"(area), "a"((u32)features), "d"((u32)(features >> 32)) : "memory");
}

#endif
