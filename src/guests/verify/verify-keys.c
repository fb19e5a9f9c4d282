/* How keys come and go: properties 10, 18 to 23, 29 to 32. */
#include "europa.h"

#include "europa/verify.h"

static u32 over ALIGNED(CACHE_LINE);
static u64 *page;
static int the_key;

/* A step that makes a call and tells its answer. */
static long told(int key, const char *call, long result) {
  step(key, call, "%ld", result);
  return result;
}

/* --- 10: no mapping ever carries 14 --- */

enum { RESERVED = 14 };

static void key14_never_on_a_page(void) {
  u64 tried = 0;
  int keys[KEY_COUNT], count = 0;
  page = keyed_pages(1, 0);
  if (!keys_are_probed()) {
    long key;
    while ((key = sys_pkey_alloc(0, 0)) > 0) {
      keys[count++] = (int)key;
      if (key == RESERVED) told(NO_KEY, "pkey_alloc(0, 0), after 13 others", key);
    }
  }
  static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_EXEC, PROT_READ | PROT_EXEC};
  bool found = false;
  for (size_t i = 0; i < COUNT_OF(prots) && !found; i++) {
    long result = sys_pkey_mprotect(page, PAGE_SIZE, prots[i], RESERVED);
    found = result == 0 || page_key(page) == RESERVED;
    tried++;
    check(keys_are_probed() ? result == -EOPNOTSUPP : true, RESERVED, "pkey_mprotect(page, prot %d, key 14)", "%ld", prots[i],
          result);
    if (found) {
      step(RESERVED, "pkey_mprotect(page, prot %d, key 14)", "%ld", prots[i], result);
      sys_pkey_mprotect(page, PAGE_SIZE, PROT_READ, RESERVED);
      step(page_key(page), "read under PKRU 0x55555554", "SIGSEGV with si_pkey %d", page_key(page));
    }
  }
  /* Nor by way of a plain mprotect, the execute-only key, or a move. */
  sys_mprotect(page, PAGE_SIZE, PROT_EXEC);
  found |= page_key(page) == RESERVED;
  sys_mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE);
  found |= page_key(page) == RESERVED;
  while (count) return_key(keys[--count]);
  verdict(!found && all_checked(), tried + 2);
}

/* --- 18: no two callers hold one key at once --- */

enum { ALLOC_THREADS = 2, UNIQUE_MS = 100 };
static u32 owner[KEY_COUNT];
static u64 allocations;

static long alloc_and_free(void *argument) {
  u32 me = (u32)(u64)argument;
  u32 mine = 0, i = 0;
  while (!atomic_load(&over) && all_checked()) {
    long key = sys_pkey_alloc(0, 0);
    if (key > 0) {
      u32 other = atomic_exchange(&owner[key], me);
      check(other == 0, (int)key, "pkey_alloc", "%ld, which thread %u holds", key, other);
      mine |= 1u << key;
      atomic_add(&allocations, 1);
    }
    /* Some are kept for a while: both threads want the same few. */
    if (key < 0 || ++i % 5 == 0)
      for (int k = 1; k < KEY_COUNT; k++)
        if (mine & 1u << k) {
          atomic_store(&owner[k], 0);
          long freed = sys_pkey_free(k);
          check(freed == 0, k, "pkey_free of an own key", "%ld", freed);
        }
    if (key < 0 || i % 5 == 0) mine = 0;
  }
  for (int k = 1; k < KEY_COUNT; k++)
    if (mine & 1u << k) {
      atomic_store(&owner[k], 0);
      sys_pkey_free(k);
    }
  return 0;
}

static long alloc_second(void *unused) {
  (void)unused;
  await(1);
  long key = told(NO_KEY, "pkey_alloc(0, 0)", sys_pkey_alloc(0, 0));
  reach(2);
  if (key == the_key) {
    step(the_key, "read of the other thread's page, which has this key", "0x%lx", READ_ONCE(*page));
    sys_pkey_free((int)key);
  }
  return key;
}

static void alloc_unique(void) {
  /* One after the other, neither frees: enough where the map is the task's. */
  struct thread *second = thread_start(alloc_second, NULL);
  the_key = (int)told(NO_KEY, "pkey_alloc(0, 0)", sys_pkey_alloc(0, 0));
  if (the_key <= 0) die("pkey_alloc", the_key);
  page = keyed_pages(1, the_key);
  step(the_key, "pkey_mprotect of a page with the key", "0");
  reach(1);
  await(2);
  long other = thread_join(second);
  if (other > 0 && other != the_key && given.abi != ABI_TASK_BITMAP) sys_pkey_free((int)other);
  return_key(the_key);
  if (other == the_key) {
    verdict(false, 1);
    return;
  }
  over = 0, allocations = 0;
  struct thread *threads[ALLOC_THREADS];
  for (u64 i = 0; i < ALLOC_THREADS; i++) threads[i] = thread_start(alloc_and_free, (void *)(i + 1));
  u64 started = clock_nanoseconds();
  struct timespec pause = {0, 5000000};
  while ((time_left(started, UNIQUE_MS) || atomic_load(&allocations) < 200) && time_left(started, 5000) && all_checked())
    sys_futex_wait(&over, 0, &pause);
  atomic_store(&over, 1);
  for (u64 i = 0; i < ALLOC_THREADS; i++) thread_join(threads[i]);
  verdict(all_checked(), allocations);
}

/* --- 19: alloc changes two PKRU bits of the caller --- */

static u32 peer_pkru;

static long keep_pkru(void *unused) {
  (void)unused;
  wrpkru(0x0cc0c0cc);
  reach(1);
  await(2);
  peer_pkru = rdpkru();
  return 0;
}

static void alloc_local(void) {
  struct thread *peer = thread_start(keep_pkru, NULL);
  await(1);
  static const u32 starts[] = {0, 0xfffffffc, PKRU_ONLY_KEY0, 0x89abcde0};
  u64 tried = 0;
  for (size_t i = 0; i < COUNT_OF(starts); i++)
    for (u32 rights = 0; rights < 4; rights++) {
      wrpkru(starts[i]);
      long key = sys_pkey_alloc(0, rights);
      u32 now = rdpkru();
      wrpkru(0);
      if (key <= 0) die("pkey_alloc", key);
      u32 expected = pkru_with(starts[i], (int)key, rights);
      check(now == expected, (int)key, "pkey_alloc(0, %u) under PKRU 0x%08x", "PKRU 0x%08x, expected 0x%08x", rights, starts[i],
            now, expected);
      return_key((int)key);
      tried++;
    }
  reach(2);
  thread_join(peer);
  check(peer_pkru == 0x0cc0c0cc, NO_KEY, "RDPKRU in another thread, 0x0cc0c0cc before the allocations", "0x%08x", peer_pkru);
  verdict(all_checked(), tried);
}

/* --- 20: a thread that predates an alloc cannot access the key's pages --- */

static bool peer_passed;

static long read_as_peer(void *unused) {
  (void)unused;
  step(NO_KEY, "starts", "PKRU 0x%08x", rdpkru());
  reach(1);
  await(2);
  struct fault fault = {0};
  u64 value = 0;
  peer_passed = try_read(page, &value, &fault);
  step(the_key, "read of the page", peer_passed ? "0x%lx" : "SIGSEGV, 0x%lx", peer_passed ? value : fault.address);
  return 0;
}

static void peers_denied(void) {
  u32 before = rdpkru();
  /* As exec left it: what take and step have changed for this thread is not the peer's. */
  wrpkru(initial_pkru());
  struct thread *peer = thread_start(read_as_peer, NULL);
  wrpkru(before);
  await(1);
  the_key = take_key(PKEY_DISABLE_ACCESS);
  if (the_key <= 0) die("no-key", the_key);
  step(NO_KEY, keys_are_probed() ? "takes a free index for itself, shut by WRPKRU" : "pkey_alloc(0, PKEY_DISABLE_ACCESS)", "%d",
       the_key);
  page = keyed_pages(1, the_key);
  step(the_key, "pkey_mprotect of a page with the key", "0");
  reach(2);
  thread_join(peer);
  retag(page, 1, PROT_READ | PROT_WRITE, 0);
  return_key(the_key);
  verdict(!peer_passed, 1);
}

/* --- 21: after free no page carries the key --- */

static void free_leaves_no_tag(void) {
  the_key = (int)told(NO_KEY, "pkey_alloc(0, 0)", sys_pkey_alloc(0, 0));
  page = keyed_pages(1, the_key);
  step(the_key, "pkey_mprotect of a page with the key", "0");
  told(the_key, "pkey_free of the key", sys_pkey_free(the_key));
  int key = page_key(page);
  step(key, "read under PKRU 0x55555554", key ? "SIGSEGV with si_pkey %d" : "passes", key);
  retag(page, 1, PROT_READ | PROT_WRITE, 0);
  verdict(key != the_key, 1);
}

/* --- 22: a reallocated key is closed to those who held it --- */

static long realloc_key(void *unused) {
  (void)unused;
  await(1);
  int key = (int)told(NO_KEY, "pkey_alloc(0, 0)", sys_pkey_alloc(0, 0));
  if (key > 0) {
    page = keyed_pages(1, key);
    step(key, "pkey_mprotect of a page with the key, a secret in it", "0");
  }
  reach(2);
  await(3);
  if (key > 0) {
    retag(page, 1, PROT_READ | PROT_WRITE, 0);
    sys_pkey_free(key);
  }
  return key;
}

static void realloc_revokes_peers(void) {
  struct thread *second = thread_start(realloc_key, NULL);
  the_key = (int)told(NO_KEY, "pkey_alloc(0, 0)", sys_pkey_alloc(0, 0));
  told(the_key, "pkey_free of the key", sys_pkey_free(the_key));
  reach(1);
  await(2);
  struct fault fault = {0};
  u64 value = 0;
  bool passed = try_read(page, &value, &fault);
  step(page_key(page), "read of the other thread's page", passed ? "0x%lx" : "SIGSEGV, 0x%lx", passed ? value : fault.address);
  reach(3);
  bool same_key = thread_join(second) == the_key;
  if (!same_key) die("another-key-came-back", 0);
  verdict(!passed, 1);
}

/* --- 23: key 0 cannot be freed --- */

static void free0_refused(void) {
  long result = told(0, "pkey_free(0)", sys_pkey_free(0));
  long again = result ? -1 : told(NO_KEY, "pkey_alloc(0, 0)", sys_pkey_alloc(0, 0));
  verdict(result == -EINVAL && again != 0, 1);
}

/* --- 29: the probe changes nothing --- */

static void probe_pure(void) {
  u64 tried = 0;
  if (given.page0) {
    long mapped = syscall6(SYS_mmap, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    told(0, "mmap of page 0, readable and writable", mapped);
    if (mapped) die("mmap-of-page-0", mapped);
    if (!writes_under(0, (void *)8, NULL)) die("write-to-page-0", 0);
  }
  u32 before = rdpkru();
  page = keyed_pages(1, 5);
  for (int key = 0; key < KEY_COUNT && all_checked(); key++) {
    long result = sys_pkey_mprotect(NULL, PAGE_SIZE, PROT_READ, key);
    tried++;
    if (given.page0 && key == 3) {
      step(key, "probe: pkey_mprotect(NULL, 4096, PROT_READ, 3)", "%ld", result);
      int now = page_key((void *)8);
      check(now == 0, now, "the key of page 0 after the probe, 0 before", "%d", now);
      struct fault fault = {0};
      bool passed = writes_under(0, (void *)8, &fault);
      check(passed, now, "write to page 0 after the probe", "SIGSEGV, si_code %d", fault.code);
    }
    check(rdpkru() == before && page_key(page) == 5, 5, "probe of index %d", "PKRU 0x%08x, key of another page %d", key, rdpkru(),
          page_key(page));
  }
  /* A probed index is as it was: still usable, still open. */
  for (int key = 0; key < RESERVED && !given.page0; key++) {
    long result = sys_pkey_mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE, key);
    check(result == 0 && reads_under(0, page, NULL), key, "pkey_mprotect with a probed index", "%ld", result);
    tried++;
  }
  if (given.page0) sys_munmap(NULL, PAGE_SIZE);
  verdict(all_checked(), tried);
}

/* --- 30: an index answered as available stays so --- */

static long take_away(void *unused) {
  (void)unused;
  await(1);
  if (keys_are_probed()) told(NO_KEY, "pkey_get(0, 0), the first call of its kind", sys_pkey_get(0, 0));
  else told(the_key, "pkey_free of the index", sys_pkey_free(the_key));
  reach(2);
  return 0;
}

static long use_keys(void *unused) {
  (void)unused;
  u64 *mine = map_pages(2);
  for (u32 i = 0; !atomic_load(&over); i++) {
    sys_pkey_mprotect(mine, PAGE_SIZE, PROT_READ | PROT_WRITE, (int)(i % KEY_COUNT));
    sys_mprotect(mine + PAGE_SIZE / 8, PAGE_SIZE, i % 2 ? PROT_EXEC : PROT_READ);
    sys_pkey_free((int)(i % KEY_COUNT));
    sys_pkey_alloc(0, 0);
  }
  return 0;
}

static long ask(int key) { return sys_pkey_mprotect(NULL, PAGE_SIZE, PROT_READ, key); }

enum { PROBES = 60 };

static void available_stays_available(void) {
  if (given.abi == ABI_MINIMAL) {
    u16 first = probe_keys(PROT_READ);
    over = 0;
    struct thread *user = thread_start(use_keys, NULL);
    u64 i = 0;
    for (; i < PROBES && all_checked(); i++) {
      u16 now = probe_keys(PROT_READ);
      check(now == first, NO_KEY, "probe of all indices, first answer 0x%04x", "0x%04x", first, now);
    }
    atomic_store(&over, 1);
    thread_join(user);
    verdict(all_checked(), i * 15);
    return;
  }
  struct thread *other = NULL;
  if (keys_are_probed()) {
    the_key = 5;
    other = thread_start(take_away, NULL);
  } else {
    the_key = (int)told(NO_KEY, "pkey_alloc(0, 0)", sys_pkey_alloc(0, 0));
    /* Under `task-bitmap` only the thread itself can give its key away. */
    if (given.abi != ABI_TASK_BITMAP) other = thread_start(take_away, NULL);
  }
  long first = told(NO_KEY, "pkey_mprotect(NULL, 4096, PROT_READ, index): is it available?", ask(the_key));
  reach(1);
  if (other) await(2);
  else told(the_key, "pkey_free of the index", sys_pkey_free(the_key));
  long second = told(NO_KEY, "pkey_mprotect(NULL, 4096, PROT_READ, index): is it available?", ask(the_key));
  if (other) thread_join(other);
  if (first != -ENOMEM && first != 0) die("not-available-at-first", first);
  verdict(second == first, 1);
}

/* --- 31: get, set and the raw instructions agree --- */

static void get_set_is_raw(void) {
  static struct pkey_area area ALIGNED(32);
  u64 tried = 0;
  int keys[2] = {obtain_key(), obtain_key()};
  page = keyed_pages(1, keys[1]);
  for (int registered = 0; registered <= (given.abi == ABI_VDSO); registered++) {
    if (registered && is_error(vdso_register(&area))) die("pkey_area", 0);
    for (int i = 0; i < 2; i++)
      for (u32 rights = 0; rights < 4; rights++)
        for (int by_vdso = 0; by_vdso <= (given.abi == ABI_VDSO); by_vdso++) {
          int key = keys[i];
          wrpkru(0xa5a5a5a0);
          u32 expected = pkru_with(rdpkru(), key, rights);
          long set = by_vdso ? vdso_pkey_set(key, rights) : sys_pkey_set(key, rights, 0);
          u32 now = rdpkru();
          check(set == 0 && now == expected, key, "pkey_set(%d, %u), RDPKRU", "%ld, PKRU 0x%08x, expected 0x%08x", key, rights,
                set, now, expected);
          set_rights(key, rights ^ 3);
          long got = by_vdso ? vdso_pkey_get(key) : sys_pkey_get(key, 0);
          check(got == (long)(rights ^ 3), key, "WRPKRU, pkey_get(%d)", "%ld, expected %u", key, got, rights ^ 3);
          if (i == 1) {
            sys_pkey_set(key, rights, 0);
            wrpkru(pkru_with(rdpkru(), 0, 0));
            bool read = try_read(page, NULL, NULL), write = try_write(page + 1, 1, NULL);
            check(read == !(rights & PKEY_DISABLE_ACCESS) && write == (rights == 0), key, "pkey_set(%d, %u), read, write",
                  "read %d, write %d", key, rights, read, write);
          }
          tried++;
        }
  }
  wrpkru(0);
  return_key(keys[0]);
  return_key(keys[1]);
  verdict(all_checked(), tried);
}

/* --- 32: a key checked as allocated is still so when the call returns --- */

/*
 * A signal that arrives during pkey_get is delivered before the call has returned to its caller: the frame's RIP is the address behind
 * SYSCALL, its RAX the answer. The handler lets another thread free the key, and then lets the call return.
 */
extern const u8 behind_pkey_get[];
static u32 hit;
static u32 wants_free, freed_it;

static NOINLINE long get_watched(long key) {
  long result;
  asm volatile("syscall\n\t.globl behind_pkey_get\nbehind_pkey_get:"
               : "=a"(result)
               : "a"(SYS_pkey_get), "D"(key), "S"(0l)
               : "rcx", "r11", "memory");
  return result;
}

static void on_signal_in_get(int signal, struct siginfo *info, struct ucontext *context) {
  (void)signal;
  (void)info;
  if (context->registers[REG_RIP] != (u64)behind_pkey_get || context->registers[REG_RAX] != 0 || READ_ONCE(hit)) return;
  WRITE_ONCE(hit, 1);
  step(the_key, "pkey_get of the key: checked as allocated, the call is about to return", "%ld", context->registers[REG_RAX]);
  atomic_store(&wants_free, 1);
  sys_futex_wake(&wants_free, 1);
  while (!atomic_load(&freed_it)) sys_futex_wait(&freed_it, 0, NULL);
}

static u32 process_number, getter_number;
static u64 signals_sent;

static long interrupt_and_free(void *unused) {
  (void)unused;
  await(1);
  while (!atomic_load(&wants_free) && !atomic_load(&over)) {
    sys_tgkill((int)process_number, (int)getter_number, SIGUSR1);
    signals_sent++;
    struct timespec pause = {0, 20000};
    sys_futex_wait(&wants_free, 0, &pause);
  }
  if (!atomic_load(&over)) told(the_key, "pkey_free of the key", sys_pkey_free(the_key));
  atomic_store(&freed_it, 1);
  sys_futex_wake(&freed_it, 1);
  return 0;
}

/* The other thread has no bit of the key: what it frees is not the caller's. */
static long free_foreign(void *unused) {
  (void)unused;
  while (!atomic_load(&over)) {
    sys_pkey_free(the_key);
    long key = sys_pkey_alloc(0, 0);
    if (key > 0) sys_pkey_free((int)key);
    signals_sent++;
  }
  return 0;
}

enum { CHECKED_MS = 60, LEAST_CALLS = 200, CHECKED_SEARCH_MS = 10000 };

static void checked_key_still_allocated(void) {
  bool foreign = given.abi == ABI_TASK_BITMAP;
  over = 0, wants_free = 0, freed_it = 0, hit = 0, signals_sent = 0;
  process_number = (u32)sys_getpid();
  getter_number = (u32)sys_gettid();
  install_handler(SIGUSR1, on_signal_in_get, 0);
  struct thread *other = thread_start(foreign ? free_foreign : interrupt_and_free, NULL);
  the_key = (int)told(NO_KEY, "pkey_alloc(0, 0)", sys_pkey_alloc(0, 0));
  reach(1);
  u64 started = clock_nanoseconds(), calls = 0;
  bool held = true;
  long result = 0;
  while (!READ_ONCE(hit) && time_left(started, CHECKED_SEARCH_MS) && all_checked()) {
    bool enough = calls >= LEAST_CALLS && READ_ONCE(signals_sent) >= LEAST_CALLS / 4;
    if (foreign && enough && !time_left(started, CHECKED_MS)) break;
    result = get_watched(the_key);
    calls++;
    if (!foreign) continue;
    long tag = sys_pkey_mprotect(NULL, PAGE_SIZE, PROT_READ, the_key);
    check(result >= 0 && tag == -ENOMEM, the_key, "pkey_get, pkey_mprotect of the own key while another thread frees its index",
          "%ld, %ld", result, tag);
  }
  if (READ_ONCE(hit)) {
    step(the_key, "the call returns", "%ld", result);
    long now = told(the_key, "pkey_get of the key", sys_pkey_get(the_key, 0));
    held = now != -EBADF;
  }
  atomic_store(&over, 1);
  thread_join(other);
  if (held) return_key(the_key);
  verdict(held && all_checked(), calls);
}

static const struct property properties[] = {
    {"key14-never-on-a-page", key14_never_on_a_page},
    {"alloc-unique", alloc_unique},
    {"alloc-local", alloc_local},
    {"peers-denied", peers_denied},
    {"free-leaves-no-tag", free_leaves_no_tag},
    {"realloc-revokes-peers", realloc_revokes_peers},
    {"free0-refused", free0_refused},
    {"probe-pure", probe_pure},
    {"available-stays-available", available_stays_available},
    {"get-set-is-raw", get_set_is_raw},
    {"checked-key-still-allocated", checked_key_still_allocated},
};

int main(int argc, char **argv) { return verify(argc, argv, properties, COUNT_OF(properties)); }
