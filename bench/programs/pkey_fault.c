/* A store denied by its key: #PF, SIGSEGV handler, siglongjmp back. */
#include "bench.h"
#include "pkeys.h"
#include <setjmp.h>
#include <signal.h>

static sigjmp_buf back;
static volatile int *page;
static volatile int64_t caught;

static void handler(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  if (info->si_code == 4) caught++;
  siglongjmp(back, 1);
}

static unsigned shut;
static void batch(int64_t operations) {
  caught = 0;
  for (volatile int64_t i = 0; i < operations; i++) {
    wrpkru(shut);
    if (!sigsetjmp(back, 1)) *page = 1;
  }
  if (caught != operations) puts("faults were lost"), exit(1);
}

int main(void) {
  page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int key = key_alloc(3);
  if (key < 0) return unsupported("pkey_fault"), 0;
  if (key_mprotect((void *)page, 4096, PROT_READ | PROT_WRITE, key)) die("pkey_mprotect");
  shut = rdpkru();
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, 0);
  measure("pkey_fault", batch, 100);
  return 0;
}
