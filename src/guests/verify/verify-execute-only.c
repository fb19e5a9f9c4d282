/* Execute-only memory and plain mprotect: properties 24 to 28. */
#include "europa.h"

#include "europa/verify.h"

enum { RET = 0xc3 };

static u8 *code;
static bool passed;
static u64 read_value;

/* Takes all keys there are, as +no-free-key asks. */
static void exhaust(void) {
  u32 count = 0;
  while (given.no_free_key && sys_pkey_alloc(0, 0) > 0) count++;
  if (given.no_free_key) step(NO_KEY, "pkey_alloc until ENOSPC", "%u keys", count);
}

static void make_execute_only(void) {
  code = map_pages(1);
  code[0] = RET;
  long result = sys_mprotect(code, PAGE_SIZE, PROT_EXEC);
  if (is_error(result)) die("mprotect", result);
  step(page_key(code), "mprotect(page, PROT_EXEC)", "%ld", result);
}

/* One read under the caller's PKRU, told. */
static bool read_told(const char *who) {
  struct fault fault = {0};
  bool read = try_read(code, &read_value, &fault);
  step(page_key(code), who, read ? "0x%lx" : "SIGSEGV, 0x%lx", read ? read_value & 0xff : fault.address);
  return read;
}

/* --- 25: the caller cannot read its execute-only page --- */

static void xonly_caller(void) {
  exhaust();
  make_execute_only();
  bool read = read_told("read of the page");
  if (!given.no_free_key) check(try_exec(code, NULL), page_key(code), "call of the page", "SIGSEGV");
  /* Nor by a key it can come by: whatever free and alloc give opens other pages only. */
  int key = page_key(code);
  if (!read && key > 0) {
    long freed = sys_pkey_free(key), again = freed == 0 ? sys_pkey_alloc(0, 0) : -1;
    if (again == key) {
      step(key, "pkey_free of the page's key, pkey_alloc(0, 0)", "%ld, %ld", freed, again);
      read = read_told("read of the page");
    }
    u64 *other = map_pages(1);
    long tagged = sys_pkey_mprotect(other, PAGE_SIZE, PROT_READ | PROT_WRITE, key);
    check(tagged != 0, key, "pkey_mprotect of another page with the execute-only key", "%ld", tagged);
  }
  verdict(!read && all_checked(), 1);
}

/* --- 26: nor can a thread that existed before --- */

static long read_as_peer(void *unused) {
  (void)unused;
  step(NO_KEY, "starts", "PKRU 0x%08x", rdpkru());
  reach(1);
  await(2);
  passed = read_told("read of the page");
  return 0;
}

static void xonly_peers(void) {
  u32 before = rdpkru();
  wrpkru(initial_pkru());
  struct thread *peer = thread_start(read_as_peer, NULL);
  wrpkru(before);
  await(1);
  make_execute_only();
  reach(2);
  thread_join(peer);
  verdict(!passed, 1);
}

/* --- 27: nor can a signal handler --- */

static void read_in_handler(int signal, struct siginfo *info, struct ucontext *context) {
  (void)signal;
  (void)info;
  (void)context;
  step(NO_KEY, "in the handler of SIGUSR1", "PKRU 0x%08x", rdpkru());
  passed = read_told("read of the page");
}

static void xonly_in_handler(void) {
  make_execute_only();
  bool read = read_told("read of the page");
  install_handler(SIGUSR1, read_in_handler, 0);
  sys_tgkill((int)sys_getpid(), (int)sys_gettid(), SIGUSR1);
  verdict(!passed && !read, 1);
}

/* --- 28: execute-only leaves all user keys usable --- */

static void xonly_costs_no_key(void) {
  int keys[KEY_COUNT], before = 0, after = 0, key;
  while ((key = take_key(0)) > 0) keys[before++] = key;
  step(NO_KEY, "keys that can be taken", "%d", before);
  for (int i = 0; i < before; i++) return_key(keys[i]);
  make_execute_only();
  while ((key = take_key(0)) > 0) {
    u64 *page = keyed_pages(1, key);
    check(page_key(page) == key, key, "a page with the key", "%d", page_key(page));
    keys[after++] = key;
  }
  step(NO_KEY, "keys that can be taken", "%d", after);
  for (int i = 0; i < after; i++) return_key(keys[i]);
  verdict(before == after && all_checked(), 1);
}

/* --- 24: mprotect never changes an assigned key --- */

static void mprotect_keeps_key(void) {
  static const int prots[] = {PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE, PROT_EXEC, PROT_READ | PROT_EXEC};
  u64 tried = 0;
  int key = obtain_key();
  u64 *page = keyed_pages(1, key);
  step(key, "pkey_mprotect(page, PROT_READ | PROT_WRITE, %d)", "0", key);
  for (size_t from = 0; from < COUNT_OF(prots) && all_checked(); from++)
    for (size_t to = 0; to < COUNT_OF(prots) && all_checked(); to++) {
      retag(page, 1, PROT_READ, key);
      sys_mprotect(page, PAGE_SIZE, prots[from]);
      sys_mprotect(page, PAGE_SIZE, prots[to]);
      /* The key is told by a read, which needs a mapping that can be read; changing to one is a third mprotect. */
      int now = page_key(page);
      tried++;
      check(now == key, now, "mprotect to prot %d, then %d; 1 read, 2 write, 4 execute", "the page has key %d", prots[from],
            prots[to], now);
    }
  retag(page, 1, PROT_READ, 0);
  return_key(key);
  verdict(all_checked(), tried);
}

static const struct property properties[] = {
    {"mprotect-keeps-key", mprotect_keeps_key}, {"xonly-caller", xonly_caller},
    {"xonly-peers", xonly_peers},               {"xonly-in-handler", xonly_in_handler},
    {"xonly-costs-no-key", xonly_costs_no_key},
};

int main(int argc, char **argv) { return verify(argc, argv, properties, COUNT_OF(properties)); }
