/*
 * Runs a command and says, on a line of its own after the command's output, how it ended:
 *   timed [-t SECONDS] LABEL COMMAND [ARG…]   →   @@begin LABEL / output / @@end LABEL STATUS SECONDS MAX_RSS_KIB
 * STATUS is the exit status, 128 + signal, or "timeout". Used on the host and inside the emulated Linux alike, so that
 * whole-process time and memory are measured in one way everywhere.
 */
#include "bench.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile pid_t child;
static volatile int timed_out;

/* The child leads a process group, so that what it started ends with it. */
static void give_up(int signal) {
  (void)signal;
  timed_out = 1;
  kill(-child, SIGKILL);
}

int main(int argc, char **argv) {
  int at = 1, limit = 0;
  if (argc > 2 && !strcmp(argv[1], "-t")) limit = atoi(argv[2]), at = 3;
  if (argc < at + 2) return fputs("usage: timed [-t SECONDS] LABEL COMMAND [ARG...]\n", stderr), 2;
  printf("@@begin %s\n", argv[at]);
  fflush(stdout);
  int64_t start = nanoseconds();
  child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    setpgid(0, 0);
    dup2(1, 2);
    execvp(argv[at + 1], argv + at + 1);
    perror(argv[at + 1]);
    _exit(127);
  }
  setpgid(child, child);
  struct sigaction action = {.sa_handler = give_up, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, 0);
  alarm((unsigned)limit);
  int status;
  struct rusage usage;
  while (wait4(child, &status, 0, &usage) < 0) continue;
  int64_t elapsed = nanoseconds() - start;
  char how[16];
  if (timed_out) strcpy(how, "timeout");
  else sprintf(how, "%d", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  printf("\n@@end %s %s %lld.%09lld %ld\n", argv[at], how, (long long)(elapsed / 1000000000), (long long)(elapsed % 1000000000),
         usage.ru_maxrss);
  return 0;
}
