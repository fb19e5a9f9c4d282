/* PROT_EXEC alone: code runs, the caller can't read it; which key it takes, and what other protections do to that key. */
#include "pkeys.h"
#include <pthread.h>

static void on_fault(int signal, siginfo_t *info, void *context) {
  if (!end_probe(context, info, signal == SIGSEGV ? info->si_code * 100 + (info->si_code == CODE_PKUERR ? (int)fault_key(info) : 0) : 9999)) _exit(99);
}
static void on_usr(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  printf("read in a handler %ld\n", probe_read(info->si_value.sival_ptr));
}
static char *code(int value) {
  char *p = new_pages(1);
  memcpy(p, "\xb8\0\0\0\0\xc3", 6);
  p[1] = (char)value;
  return p;
}
static void state(const char *what, char *p) {
  printf("%s: runs %d, read %ld write %ld, PKRU %08x\n", what, ((int (*)(void))p)(), probe_read(p), probe_write(p), rdpkru());
}
static char *shared;
static void *peer(void *argument) {
  pthread_barrier_wait(argument);
  pthread_barrier_wait(argument);
  return (void *)probe_read(shared);
}

int main(void) {
  require_pkeys();
  handle(SIGSEGV, on_fault, 0);
  handle(SIGUSR1, on_usr, 0);
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, 0, 2);
  pthread_t thread;
  wrpkru(0x55555554 & ~(3u << 2));
  pthread_create(&thread, 0, peer, &barrier);
  pthread_barrier_wait(&barrier);
  char *first = shared = code(11), *second = code(22);
  mprotect(first, P, PROT_READ | PROT_EXEC);
  state("readable code", first);
  printf("mprotect PROT_EXEC %s\n", error_name(mprotect(first, P, PROT_EXEC)));
  state("execute-only", first);
  pthread_barrier_wait(&barrier);
  void *seen;
  pthread_join(thread, &seen);
  printf("read by a thread that had the key open before: %ld\n", (long)seen);
  union sigval value = {.sival_ptr = first};
  sigqueue(getpid(), SIGUSR1, value);
  printf("the next key is %d\n", key_alloc(0, 0));
  printf("free of the execute-only key %s, pkey_mprotect with it %s\n", error_name(key_free(1)), error_name(key_mprotect(second, P, PROT_READ, 1)));
  mprotect(second, P, PROT_EXEC);
  state("a second page", second);
  mprotect(first, P, PROT_READ | PROT_EXEC);
  state("leaving execute-only", first);
  set_rights(2, 1);
  key_mprotect(first, P, PROT_READ | PROT_EXEC, 2);
  state("with key 2", first);
  key_mprotect(first, P, PROT_EXEC, 2);
  state("pkey_mprotect PROT_EXEC with key 2", first);
  mprotect(first, P, PROT_EXEC);
  state("mprotect PROT_EXEC replaces it", first);
  char *mapped = mmap(0, P, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("mmap PROT_EXEC: read %ld\n", probe_read(mapped));
  return 0;
}
