/* Calls whose buffers are denied by a key: EFAULT or a short count, never a signal, and nothing behind the fence changes. */
#include "pkeys.h"
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

int main(void) {
  require_pkeys();
  int key = key_alloc(0, 0);
  char *p = new_pages(3);
  memset(p, 'x', 3 * P);
  key_mprotect(p + P, P, RW, key);
  set_rights(key, 1);
  printf("clock_gettime %s\n", error_name(syscall(SYS_clock_gettime, CLOCK_REALTIME, p + P)));
  printf("uname across %s\n", error_name(syscall(SYS_uname, p + P - 100)));
  printf("rt_sigprocmask old %s\n", error_name(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, p + P, 8)));
  printf("rt_sigaction %s\n", error_name(syscall(SYS_rt_sigaction, SIGUSR1, p + P, 0, 8)));
  printf("nanosleep %s\n", error_name(syscall(SYS_nanosleep, p + P, 0)));
  printf("futex wake %s", error_name(syscall(SYS_futex, p + P, 129, 1, 0, 0, 0)));
  printf(" wait %s\n", error_name(syscall(SYS_futex, p + P, 128, 0, 0, 0, 0)));
  printf("open %s\n", error_name(syscall(SYS_open, p + P, 0)));
  printf("getcwd %s\n", error_name(syscall(SYS_getcwd, p + P, 100)));
  printf("getrandom %ld, across %ld\n", syscall(SYS_getrandom, p + P, 16, 0), syscall(SYS_getrandom, p + P - 8, 8, 0));
  printf("sigaltstack %s\n", error_name(syscall(SYS_sigaltstack, 0, p + P)));
  fflush(stdout);
  printf("write %s\n", error_name(syscall(SYS_write, 1, p + P, 5)));
  set_rights(key, 2);
  printf("write disabled: clock_gettime %s, nanosleep %s\n", error_name(syscall(SYS_clock_gettime, CLOCK_REALTIME, p + P)), error_name(syscall(SYS_nanosleep, p + 2 * P, 0)));
  set_rights(key, 0);
  int changed = 0;
  for (int i = P; i < 2 * P; i++) changed += p[i] != 'x';
  printf("changed behind the fence: %d\n", changed);
  printf("opened: clock_gettime %s\n", error_name(syscall(SYS_clock_gettime, CLOCK_REALTIME, p + P)));
  return 0;
}
