/*
 * A thread pool is created, then a key is allocated, memory is tagged and made readable, and a job that reads it goes to the pool.
 * Under `linux` pkey_alloc opens the key for the caller alone, and the pool's threads, older than the key, fault. Corrected: the job
 * sets the rights of the thread it runs on.
 *
 *   pool-before-alloc [faulty|fixed]
 */
#include "europa.h"

static bool fixed;
static struct gate job;
static u64 *memory;
static int key;
static struct fault fault;

static long pool_thread(void *unused) {
  (void)unused;
  gate_wait(&job);
  if (fixed) set_rights(key, PKEY_DISABLE_WRITE);
  u64 value = 0;
  return try_read(memory, &value, &fault) && value == SECRET;
}

int main(int argc, char **argv) {
  fixed = wants_fixed(argc, argv);
  need_keys();
  catch_faults();
  struct thread *thread = thread_start(pool_thread, NULL);
  memory = secret_page();
  key = must_take_key(0);
  tag_page(memory, key);
  gate_open(&job);
  return thread_join(thread) ? EXIT_HELD
                             : failed("page=%p key=%d si_pkey=%u pkru=0x%08x error=0x%x read=denied-in-the-pool",
                                      (void *)memory, key, fault.key, fault.pkru, fault.error);
}
