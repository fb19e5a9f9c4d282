/* pkey_alloc, pkey_free, pkey_mprotect: values, errnos and their order, what mprotect and mmap do to a page's key. */
#include "pkeys.h"

static void on_fault(int signal, siginfo_t *info, void *context) {
  if (!end_probe(context, info, signal == SIGSEGV ? info->si_code * 100 + (info->si_code == CODE_PKUERR ? (int)fault_key(info) : 0) : 9999)) _exit(99);
}
static void access_of(const char *what, char *p) { printf("%s: read %ld write %ld\n", what, probe_read(p), probe_write(p)); }

int main(void) {
  require_pkeys();
  handle(SIGSEGV, on_fault, 0);
  printf("PKRU at first %08x\n", rdpkru());
  printf("alloc: flags %s, rights 4 %s, rights -1 %s, both %s\n", error_name(key_alloc(1, 0)), error_name(key_alloc(0, 4)), error_name(key_alloc(0, -1u)), error_name(key_alloc(1, 9)));
  unsigned rights[] = {0, 1, 2, 3};
  for (int i = 0; i < 4; i++) {
    unsigned before = rdpkru();
    int key = key_alloc(0, rights[i]);
    printf("alloc %u: key %d PKRU %08x, other bits kept %d\n", rights[i], key, rdpkru(), ((before ^ rdpkru()) & ~(3u << 2 * key)) == 0);
  }
  int last = 0, count = 4;
  for (int key; (key = key_alloc(0, 0)) >= 0; count++) last = key;
  printf("all allocated: %d, last %d, then %s\n", count, last, error_name(key_alloc(0, 0)));
  printf("free: %s, again", error_name(key_free(7)));
  printf(" %s, 16 %s, -1 %s\n", error_name(key_free(7)), error_name(key_free(16)), error_name(key_free(-1)));
  key_free(9);
  key_free(5);
  printf("lowest free comes first: %d", key_alloc(0, 0));
  printf(" %d", key_alloc(0, 0));
  printf(" %d\n", key_alloc(0, 0));

  char *p = new_pages(8);
  memset(p, 1, 8 * P);
  printf("unaligned %s, length 0 with a bad key %s, wrap %s, bad protection %s, both GROWS %s\n", error_name(key_mprotect(p + 1, P, RW, 1)), error_name(key_mprotect(p, 0, RW, 99)),
         error_name(key_mprotect(p, (size_t)-P, RW, 99)), error_name(key_mprotect(p, P, 0x100000, 99)), error_name(key_mprotect(p, P, 0x03000000, 99)));
  printf("unaligned before length 0: %s, wrap before protection: %s\n", error_name(key_mprotect(p + 1, 0, RW, 1)), error_name(key_mprotect(p, (size_t)-P, 0x100000, 1)));
  printf("key 16 %s, key -2 %s, key 99 at an unmapped address %s, unmapped %s\n", error_name(key_mprotect(p, P, RW, 16)), error_name(key_mprotect(p, P, RW, -2)),
         error_name(key_mprotect((void *)0x10000, P, RW, 99)), error_name(key_mprotect((void *)0x10000, P, RW, 1)));
  key_free(15);
  printf("free key %s\n", error_name(key_mprotect(p, P, RW, 15)));
  munmap(p + 6 * P, P);
  printf("over a hole: %s\n", error_name(key_mprotect(p + 4 * P, 4 * P, RW, 3)));
  set_rights(3, 1);
  access_of("before the hole, changed", p + 4 * P);
  access_of("behind the hole, as it was", p + 7 * P);
  set_rights(3, 0);

  for (int key = 1; key < 15; key++) {
    if (key_mprotect(p, P, RW, key)) printf("key %d: %s\n", key, error_name(-1));
    for (unsigned r = 0; r < 4; r++) {
      set_rights(key, r);
      printf("key %d rights %u: %ld %ld; ", key, r, probe_read(p), probe_write(p));
    }
    set_rights(key, 0);
    putchar('\n');
  }
  set_rights(2, 1);
  key_mprotect(p, P, RW, 2);
  access_of("key 2, access denied", p);
  mprotect(p, P, PROT_READ);
  access_of("mprotect keeps the key", p);
  key_mprotect(p, P, RW, -1);
  access_of("pkey_mprotect with -1 too", p);
  key_mprotect(p, P, PROT_READ, 0);
  access_of("key 0 again, read-only", p);
  key_mprotect(p, P, RW, 2);
  char *moved = mremap(p, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, p + 3 * P);
  access_of("mremap keeps the key", moved);
  mmap(moved, P, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  access_of("a new mapping has key 0", moved);
  key_mprotect(p + P, P, RW, 2);
  madvise(p + P, P, MADV_DONTNEED);
  access_of("MADV_DONTNEED keeps the key", p + P);
  key_mprotect(p + P, P, PROT_NONE, 2);
  access_of("PROT_NONE with a denied key", p + P);
  set_rights(2, 0);
  access_of("PROT_NONE with an open key", p + P);
  set_rights(2, 2);
  key_mprotect(p + P, P, PROT_READ, 2);
  access_of("read-only and write disabled", p + P);
  key_free(2);
  access_of("after pkey_free the page keeps the key", p + P);
  printf("reallocated %d\n", key_alloc(0, 0));
  access_of("and it opens again", p + P);
  printf("free key 0: %s\n", error_name(key_free(0)));
  printf("it can then be had: %d\n", key_alloc(0, 0));
  char *fresh = new_pages(1);
  set_rights(4, 3);
  key_mprotect(fresh, P, RW, 4);
  access_of("never touched page", fresh);
  set_rights(4, 2);
  access_of("now readable", fresh);
  return 0;
}
