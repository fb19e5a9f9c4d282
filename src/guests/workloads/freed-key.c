/*
 * Hazard of every ABI with one map for the mm: a key is freed while a page still carries it; whoever gets it next can open that
 * page. Corrected: the page is wiped and retagged before the key is freed.
 *
 *   freed-key [faulty|fixed]
 */
#include "europa.h"

static u64 *page;
static int old_key, new_key;

static long next_owner(void *unused) {
  (void)unused;
  new_key = must_alloc_key(0);
  return reads_secret(page);
}

int main(int argc, char **argv) {
  bool fixed = wants_fixed(argc, argv);
  need_keys();
  catch_faults();
  page = secret_page();
  old_key = must_alloc_key(PKEY_DISABLE_ACCESS);
  tag_page(page, old_key);
  struct thread *thread = thread_start(next_owner, NULL);
  if (fixed) {
    open_key(old_key);
    page[0] = 0;
    shut_key(old_key);
    tag_page(page, 0);
  }
  long result = sys_pkey_free(old_key);
  if (is_error(result)) die("pkey_free", result);
  return thread_join(thread) ? failed("page=%p freed-key=%d new-key=%d read=secret", (void *)page, old_key, new_key)
                             : EXIT_HELD;
}
