/*
 * Hazard of `vdso`: the map in the thread's area is read, another thread frees the key, then WRPKRU opens it, and the set has
 * succeeded on a key that had already been freed. pkey_set as a system call answers EBADF. Corrected: that call.
 *
 * The sequence of __vdso_pkey_set is repeated here with one load added, of the flag that the freeing thread raises once pkey_free
 * has returned: it is what proves the order.
 *
 *   stale-map [faulty|fixed]
 */
#include "europa.h"

static struct pkey_area area ALIGNED(32);
static u64 *page;
static int key;
static u32 freed;

static long free_key(void *unused) {
  (void)unused;
  long result = sys_pkey_free(key);
  if (is_error(result)) die("pkey_free", result);
  atomic_store(&freed, 1);
  return 0;
}

static long set_by_map(u32 rights, bool *freed_before) {
  if (!(READ_ONCE(area.allocation_map) >> key & 1)) return -EBADF;
  *freed_before = atomic_load(&freed);
  wrpkru(pkru_with(rdpkru(), key, rights));
  return 0;
}

static long set_by_call(u32 rights, bool *freed_before) {
  *freed_before = atomic_load(&freed);
  return sys_pkey_set(key, rights, 0);
}

int main(int argc, char **argv) {
  bool fixed = wants_fixed(argc, argv);
  need_keys();
  catch_faults();
  long registered = vdso_register(&area);
  if (registered == -ENOSYS) skip("no-pkey_area");
  if (is_error(registered)) die("pkey_area", registered);
  page = secret_page();
  key = must_alloc_key(PKEY_DISABLE_ACCESS);
  tag_page(page, key);
  struct thread *thread = thread_start(free_key, NULL);
  bool freed_before = false;
  long result = fixed ? set_by_call(0, &freed_before) : set_by_map(0, &freed_before);
  u32 pkru = rdpkru();
  bool leaked = reads_secret(page);
  thread_join(thread);
  if (result == 0 && freed_before)
    return failed("key=%d set=succeeded-after-free pkru=0x%08x page=%p read=%s", key, pkru, (void *)page,
                  leaked ? "secret" : "denied");
  return EXIT_HELD;
}
