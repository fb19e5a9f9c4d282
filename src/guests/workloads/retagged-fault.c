/*
 * Hazard of every ABI: si_pkey is the key of the mapping when the fault is handled, not when it happened. A page goes from a key
 * that the reader is denied to one that it may use; the reader's fault can name the second. Corrected: access and retag
 * exclude each other.
 *
 *   retagged-fault [faulty|fixed]
 */
#include "europa.h"

static bool fixed;
static struct mutex lock;
static u64 *page;
static int denied, allowed;

static long retag(void *unused) {
  (void)unused;
  if (fixed) mutex_lock(&lock);
  tag_page(page, allowed);
  if (fixed) mutex_unlock(&lock);
  return 0;
}

int main(int argc, char **argv) {
  fixed = wants_fixed(argc, argv);
  need_keys();
  catch_faults();
  page = secret_page();
  denied = must_take_key(PKEY_DISABLE_ACCESS);
  allowed = must_take_key(0);
  tag_page(page, denied);
  struct thread *thread = thread_start(retag, NULL);
  struct fault fault = {0};
  if (fixed) mutex_lock(&lock);
  bool faulted = !try_read(page, NULL, &fault);
  if (fixed) mutex_unlock(&lock);
  thread_join(thread);
  if (faulted && !is_key_fault(&fault, page, denied))
    return failed("page=%p denied-key=%d si_pkey=%u allowed-key=%d code=%d error=0x%x pkru=0x%08x", (void *)page, denied,
                  fault.key, allowed, fault.code, fault.error, fault.pkru);
  return EXIT_HELD;
}
