/*
 * Hazard of every ABI that frees keys: a thread keeps its rights to a key from before the key was freed and allocated anew, and so
 * reads what the new owner protects. Corrected: use of the key and its reallocation exclude each other, and the user asks
 * inside whether the key is still the one it knows.
 *
 *   stale-rights [faulty|fixed]
 */
#include "europa.h"

static bool fixed;
static struct mutex in_use;
static int key, vault_key;
static u32 generation; /* of the key's owner: 0 session, 1 vault */
static u64 *session, *vault;
static u32 vault_ready;
static u32 user_pkru;

static long use_session(void *unused) {
  (void)unused;
  bool leaked = false;
  if (fixed) mutex_lock(&in_use);
  if (atomic_load(&generation) == 0) {
    open_key(key);
    if (atomic_load(&vault_ready)) leaked = reads_secret(vault);
    user_pkru = rdpkru();
    shut_key(key);
  }
  if (fixed) mutex_unlock(&in_use);
  return leaked;
}

static void turn_into_vault(void) {
  if (fixed) mutex_lock(&in_use);
  atomic_store(&generation, 1);
  sys_munmap(session, PAGE_SIZE);
  long result = sys_pkey_free(key);
  if (is_error(result)) die("pkey_free", result);
  vault_key = must_alloc_key(PKEY_DISABLE_ACCESS);
  tag_page(vault, vault_key);
  atomic_store(&vault_ready, 1);
  if (fixed) mutex_unlock(&in_use);
}

int main(int argc, char **argv) {
  fixed = wants_fixed(argc, argv);
  need_keys();
  catch_faults();
  session = map_pages(1);
  vault = secret_page();
  key = must_alloc_key(PKEY_DISABLE_ACCESS);
  tag_page(session, key);
  struct thread *thread = thread_start(use_session, NULL);
  turn_into_vault();
  return thread_join(thread) ? failed("page=%p key=%d vault-key=%d pkru=0x%08x read=secret", (void *)vault, key, vault_key,
                                      user_pkru)
                             : EXIT_HELD;
}
