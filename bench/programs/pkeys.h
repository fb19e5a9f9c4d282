/* Protection keys without libc: the calls by number, the instructions by their bytes. */
#ifndef PKEYS_H
#define PKEYS_H
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline unsigned rdpkru(void) {
  unsigned eax, edx;
  __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(eax), "=d"(edx) : "c"(0));
  return eax;
}

static inline void wrpkru(unsigned pkru) {
  __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(pkru), "c"(0), "d"(0) : "memory");
}

static inline int key_alloc(unsigned rights) { return (int)syscall(330, 0, rights); }
static inline int key_free(int key) { return (int)syscall(331, key); }
static inline int key_mprotect(void *start, size_t length, int protection, int key) {
  return (int)syscall(329, start, length, protection, key);
}
#endif
