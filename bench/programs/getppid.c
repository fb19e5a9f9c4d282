/* The cheapest system call. */
#include "bench.h"
#include <sys/syscall.h>
#include <unistd.h>

static void batch(int64_t operations) {
  for (int64_t i = 0; i < operations; i++) syscall(SYS_getppid);
}

int main(void) {
  measure("getppid", batch, 1000);
  return 0;
}
