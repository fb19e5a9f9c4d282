/* What a process sees of itself: arguments, environment, auxv, uname, limits, ids, exit handlers; argv[1] picks how it ends. */
#include "test.h"
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

static void first(void) { puts("atexit 1"); }
static void second(void) { puts("atexit 2"); }
__attribute__((constructor)) static void before(void) { puts("constructor"); }
__attribute__((destructor)) static void after(void) { puts("destructor"); }

int main(int argc, char **argv, char **environment) {
  for (int i = 1; i < argc; i++) printf("argument %d [%s]\n", i, argv[i]);
  check("argv ends with null", argv[argc] == 0);
  int variables = 0;
  while (environment[variables]) variables++;
  check("environ", environment == environ && variables >= 0);
  setenv("EUROPA_TEST", "moon", 1);
  printf("getenv %s\n", getenv("EUROPA_TEST"));
  check("AT_PAGESZ", getauxval(AT_PAGESZ) == 4096);
  check("AT_RANDOM", getauxval(AT_RANDOM) != 0);
  check("AT_PHDR", getauxval(AT_PHDR) != 0 && getauxval(AT_PHENT) == 56 && getauxval(AT_PHNUM) > 3);
  check("AT_ENTRY", getauxval(AT_ENTRY) != 0);
  check("AT_SECURE", getauxval(AT_SECURE) == 0);
  check("AT_CLKTCK", getauxval(AT_CLKTCK) == 100);
  check("AT_EXECFN", getauxval(AT_EXECFN) && strstr((char *)getauxval(AT_EXECFN), "procinfo"));
  check("stack aligned at entry", (uintptr_t)argv % 8 == 0);
  struct utsname name;
  uname(&name);
  printf("%s %s\n", name.sysname, name.machine);
  check("pid", getpid() > 0 && syscall(SYS_gettid) == getpid() && getppid() >= 0);
  check("ids", getuid() == geteuid() && getgid() == getegid());
  check("page size", sysconf(_SC_PAGESIZE) == 4096 && sysconf(_SC_NPROCESSORS_ONLN) >= 1);
  struct rlimit limit;
  printf("getrlimit %s %s\n", error_name(getrlimit(RLIMIT_STACK, &limit)), error_name(getrlimit(99, &limit)));
  cpu_set_t set;
  check("affinity", sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) >= 1);
  check("sched_yield", sched_yield() == 0);
  prctl(PR_SET_NAME, "callisto", 0, 0, 0);
  char own[16] = "";
  prctl(PR_GET_NAME, own, 0, 0, 0);
  printf("name %s\n", own);
  unsigned cpu = 999, node = 999;
  check("getcpu", syscall(SYS_getcpu, &cpu, &node, 0) == 0 && cpu < 999 && node == 0);
  printf("no such call: %s\n", error_name(syscall(9999)));
  printf("umask %o\n", umask(022) == umask(022));
  struct rusage usage;
  check("getrusage", getrusage(RUSAGE_SELF, &usage) == 0);
  atexit(first);
  atexit(second);
  fflush(stdout);
  const char *how = argc > 1 ? argv[1] : "return";
  if (!strcmp(how, "exit")) exit(300);
  if (!strcmp(how, "_exit")) _exit(7);
  if (!strcmp(how, "abort")) abort();
  if (!strcmp(how, "segv")) *(volatile int *)8 = 1;
  if (!strcmp(how, "term")) raise(SIGTERM);
  if (!strcmp(how, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(how, "fpe")) {
    volatile int zero = 0, some = 7;
    printf("%d", some / zero);
  }
  if (!strcmp(how, "ill")) __builtin_trap();
  if (!strcmp(how, "recursion")) {
    __asm__ volatile("1: push %rax; jmp 1b");
  }
  return 3;
}
