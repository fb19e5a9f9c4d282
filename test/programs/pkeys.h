/* Protection keys without libc: the calls by number, the instructions by their bytes, the PKRU in a signal frame. */
#ifndef PKEYS_H
#define PKEYS_H
#include "signals.h"
#include <sys/mman.h>
#include <sys/syscall.h>

enum { P = 4096, RW = PROT_READ | PROT_WRITE, CODE_PKUERR = 4 };

static inline unsigned rdpkru(void) {
  unsigned eax, edx;
  __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(eax), "=d"(edx) : "c"(0));
  return eax;
}
static inline void wrpkru(unsigned pkru) { __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(pkru), "c"(0), "d"(0) : "memory"); }
static inline unsigned rights_of(unsigned pkru, int key) { return pkru >> 2 * key & 3; }
static inline void set_rights(int key, unsigned rights) { wrpkru((rdpkru() & ~(3u << 2 * key)) | rights << 2 * key); }

static inline int key_alloc(unsigned flags, unsigned rights) { return (int)syscall(330, flags, rights); }
static inline int key_free(int key) { return (int)syscall(331, key); }
static inline int key_mprotect(void *start, size_t length, int protection, int key) { return (int)syscall(329, start, length, protection, key); }

static inline char *new_pages(int count) {
  char *p = mmap(0, (size_t)count * P, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) perror("mmap"), exit(1);
  return p;
}

/* si_pkey by its offset in siginfo: musl's header has no name for it. */
static inline unsigned fault_key(const siginfo_t *info) {
  unsigned key;
  memcpy(&key, (const char *)info + 0x20, 4);
  return key;
}

static inline unsigned char *frame_xsave(void *context) { return (unsigned char *)((ucontext_t *)context)->uc_mcontext.fpregs; }
static inline unsigned pkru_offset(void) {
  unsigned a = 13, b, c = 9, d;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return b;
}
/* The interrupted PKRU in the frame: component 9, or 0 when XSTATE_BV says that it is in its initial state. */
static inline unsigned frame_pkru(void *context) {
  uint64_t bv;
  unsigned pkru;
  memcpy(&bv, frame_xsave(context) + 512, 8);
  memcpy(&pkru, frame_xsave(context) + pkru_offset(), 4);
  return bv >> 9 & 1 ? pkru : 0;
}

static inline void require_pkeys(void) {
  int key = key_alloc(0, 1); /* Access disabled, as it is at first: PKRU stays what it was. */
  if (key < 0) puts("no protection keys here"), exit(77);
  key_free(key);
}
#endif
