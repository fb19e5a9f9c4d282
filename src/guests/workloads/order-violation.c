/*
 * A thread uses a variable that its creator fills in only after thread_start has returned. Corrected: it waits for that.
 *
 *   order-violation [faulty|fixed]
 */
#include "europa.h"

static bool fixed;
static struct thread *handle;
static struct gate published;

static long use_handle(void *unused) {
  (void)unused;
  if (fixed) gate_wait(&published);
  struct thread *mine = READ_ONCE(handle);
  return mine == thread_self();
}

int main(int argc, char **argv) {
  fixed = wants_fixed(argc, argv);
  struct thread *thread = thread_start(use_handle, NULL);
  WRITE_ONCE(handle, thread);
  gate_open(&published);
  return thread_join(thread) ? EXIT_HELD : failed("handle=used-before-it-was-set");
}
