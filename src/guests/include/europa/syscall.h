/* Raw system calls (numbers of arch/x86/entry/syscalls/syscall_64.tbl). Every function answers −errno for an error. */
#ifndef EUROPA_SYSCALL_H
#define EUROPA_SYSCALL_H

#include "types.h"

enum {
  SYS_read = 0,
  SYS_write = 1,
  SYS_mmap = 9,
  SYS_mprotect = 10,
  SYS_munmap = 11,
  SYS_rt_sigaction = 13,
  SYS_rt_sigprocmask = 14,
  SYS_rt_sigreturn = 15,
  SYS_sched_yield = 24,
  SYS_mremap = 25,
  SYS_getpid = 39,
  SYS_clone = 56,
  SYS_exit = 60,
  SYS_sigaltstack = 131,
  SYS_arch_prctl = 158,
  SYS_gettid = 186,
  SYS_futex = 202,
  SYS_clock_gettime = 228,
  SYS_exit_group = 231,
  SYS_tgkill = 234,
  SYS_getcpu = 309,
  SYS_pkey_mprotect = 329,
  SYS_pkey_alloc = 330,
  SYS_pkey_free = 331,
  SYS_pkey_get = 332, /* Hansen v3/v4; pkey.h says what the two numbers are in Linux today */
  SYS_pkey_set = 333,
  SYS_pkey_area = 600 /* Europa's `vdso` ABI */
};

enum {
  EPERM = 1,
  EINTR = 4,
  EBADF = 9,
  EAGAIN = 11,
  ENOMEM = 12,
  EACCES = 13,
  EFAULT = 14,
  EBUSY = 16,
  EINVAL = 22,
  ENOSPC = 28,
  ENOSYS = 38,
  EOPNOTSUPP = 95,
  ETIMEDOUT = 110
};

enum { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20 };
enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_PRIVATE = 128 };
enum { CLOCK_MONOTONIC = 1, ARCH_SET_FS = 0x1002 };

struct timespec {
  i64 seconds;
  i64 nanoseconds;
};

static inline long syscall6(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

static inline long syscall4(long number, long a, long b, long c, long d) {
  register long r10 asm("r10") = d;
  long result;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
}

static inline long syscall3(long number, long a, long b, long c) {
  long result;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

static inline long syscall2(long number, long a, long b) { return syscall3(number, a, b, 0); }
static inline long syscall1(long number, long a) { return syscall3(number, a, 0, 0); }
static inline long syscall0(long number) { return syscall3(number, 0, 0, 0); }

static inline bool is_error(long result) { return (u64)result > (u64)-4096; }

static inline long sys_read(int fd, void *buffer, size_t bytes) { return syscall3(SYS_read, fd, (long)buffer, bytes); }
static inline long sys_write(int fd, const void *buffer, size_t bytes) {
  return syscall3(SYS_write, fd, (long)buffer, bytes);
}
static inline long sys_mmap(void *address, size_t bytes, int prot, int flags) {
  return syscall6(SYS_mmap, (long)address, bytes, prot, flags, -1, 0);
}
static inline long sys_munmap(void *address, size_t bytes) { return syscall2(SYS_munmap, (long)address, bytes); }
static inline long sys_mprotect(void *address, size_t bytes, int prot) {
  return syscall3(SYS_mprotect, (long)address, bytes, prot);
}
static inline long sys_getpid(void) { return syscall0(SYS_getpid); }
static inline long sys_gettid(void) { return syscall0(SYS_gettid); }
static inline long sys_sched_yield(void) { return syscall0(SYS_sched_yield); }
static inline long sys_tgkill(int process, int thread, int signal) {
  return syscall3(SYS_tgkill, process, thread, signal);
}
static inline long sys_futex_wait(const void *word, u32 value, const struct timespec *timeout) {
  return syscall4(SYS_futex, (long)word, FUTEX_WAIT | FUTEX_PRIVATE, value, (long)timeout);
}
static inline long sys_futex_wake(const void *word, u32 count) {
  return syscall4(SYS_futex, (long)word, FUTEX_WAKE | FUTEX_PRIVATE, count, 0);
}

/* Number of the CPU this runs on, or a negative error. */
static inline int sys_getcpu(void) {
  u32 cpu = 0;
  long result = syscall3(SYS_getcpu, (long)&cpu, 0, 0);
  return is_error(result) ? (int)result : (int)cpu;
}

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline u64 clock_nanoseconds(void) {
  struct timespec now = {0, 0};
  syscall2(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now);
  return (u64)now.seconds * 1000000000ull + (u64)now.nanoseconds;
}

/* Ends the process with all its threads. */
static inline __attribute__((noreturn)) void exit(int status) {
  for (;;) syscall1(SYS_exit_group, status);
}

/* Fresh zeroed private pages, readable and writable; ends the program when there are none. */
void *map_pages(size_t pages);

#endif
