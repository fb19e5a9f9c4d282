/* Shared by the test programs. Everything they print is the same on every correct machine and in every run. */
#ifndef TEST_H
#define TEST_H
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Prints a condition that must hold; false ones are counted and make the exit status 1. */
static int failures;
static inline void check(const char *what, int holds) {
  printf("%s: %s\n", what, holds ? "yes" : "NO");
  failures += !holds;
}

/* Name of an errno value, 0 for success: the same text whatever the libc. */
static inline const char *error_name(long result) {
  if (result >= 0) return "0";
  switch (errno) {
#define E(name) case name: return #name;
    E(EPERM) E(ENOENT) E(ESRCH) E(EINTR) E(EIO) E(ENXIO) E(E2BIG) E(ENOEXEC) E(EBADF) E(ECHILD) E(EAGAIN) E(ENOMEM)
    E(EACCES) E(EFAULT) E(EBUSY) E(EEXIST) E(ENODEV) E(ENOTDIR) E(EISDIR) E(EINVAL) E(ENFILE) E(EMFILE) E(ENOTTY)
    E(ENOSPC) E(ESPIPE) E(EROFS) E(EPIPE) E(ERANGE) E(EDEADLK) E(ENOSYS) E(ETIMEDOUT) E(EOWNERDEAD) E(ENOTRECOVERABLE)
    E(EOPNOTSUPP) E(ENAMETOOLONG) E(ELOOP) E(EOVERFLOW)
#undef E
    default: return "another errno";
  }
}

static inline uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}
#endif
