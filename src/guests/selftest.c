/*
 * Checks of the library itself, and so of what it stands on: threads, futexes, signals, faults, PKRU, keys.
 *
 *   selftest
 *
 * One record a check: `E test=NAME result=ok|failed|skipped …`. Without protection keys the checks that need them are skipped.
 */
#include "europa.h"

static u32 failures;

static void verdict(const char *name, bool ok) {
  report("test=%s result=%s", name, ok ? "ok" : "failed");
  if (!ok) failures++;
}

static void test_format(void) {
  char text[64];
  format(text, sizeof text, "%d %5u|%-5d|%05x %s %c %ld %%", -7, 42u, 3, 0xabcu, "text", '!', -1234567890123l);
  verdict("format", same(text, "-7    42|3    |00abc text ! -1234567890123 %"));
  size_t wanted = format(text, 8, "%s", "longer than eight");
  verdict("format-bound", wanted == 17 && same(text, "longer "));
}

enum { ADDERS = 4, ADDITIONS = 500 };
static struct mutex lock;
static u64 guarded_sum;

static long add(void *argument) {
  for (int i = 0; i < ADDITIONS; i++) {
    mutex_lock(&lock);
    WRITE_ONCE(guarded_sum, READ_ONCE(guarded_sum) + 1);
    mutex_unlock(&lock);
  }
  return (long)argument * 10;
}

static void test_mutex(void) {
  struct thread *threads[ADDERS];
  for (long i = 0; i < ADDERS; i++) threads[i] = thread_start(add, (void *)i);
  bool results = true;
  for (long i = 0; i < ADDERS; i++) results &= thread_join(threads[i]) == i * 10;
  verdict("thread-result", results);
  verdict("mutex", guarded_sum == ADDERS * ADDITIONS);
}

static struct barrier barrier = {.parties = ADDERS};
static u32 phase_count[8];
static u32 phase_errors;

static long meet(void *argument) {
  (void)argument;
  for (int phase = 0; phase < 8; phase++) {
    atomic_add(&phase_count[phase], 1);
    barrier_wait(&barrier);
    if (atomic_load(&phase_count[phase]) != ADDERS) atomic_add(&phase_errors, 1);
  }
  return 0;
}

static void test_barrier(void) {
  struct thread *threads[ADDERS];
  for (int i = 0; i < ADDERS; i++) threads[i] = thread_start(meet, NULL);
  for (int i = 0; i < ADDERS; i++) thread_join(threads[i]);
  verdict("barrier", phase_errors == 0);
}

static struct condition changed;
static u32 turn;

static long alternate(void *argument) {
  u32 mine = (u32)(u64)argument;
  for (int i = 0; i < 50; i++) {
    mutex_lock(&lock);
    while (turn % 2 != mine) condition_wait(&changed, &lock);
    turn++;
    condition_broadcast(&changed);
    mutex_unlock(&lock);
  }
  return 0;
}

static void test_condition(void) {
  struct thread *even = thread_start(alternate, (void *)0), *odd = thread_start(alternate, (void *)1);
  thread_join(even);
  thread_join(odd);
  verdict("condition", turn == 100);
}

static void test_faults(void) {
  struct fault fault = {0};
  u64 value = 0;
  u64 *page = map_pages(1);
  page[3] = 77;
  verdict("read-passes", try_read(&page[3], &value, &fault) && value == 77);
  sys_mprotect(page, PAGE_SIZE, PROT_READ);
  bool stored = try_write(&page[3], 1, &fault);
  verdict("write-read-only", !stored && fault.signal == SIGSEGV && fault.code == SEGV_ACCERR &&
                                 fault.address == (u64)&page[3] && fault.trap == 14 &&
                                 fault.error == (PF_PRESENT | PF_WRITE | PF_USER));
  bool fetched = try_exec(page, &fault);
  verdict("fetch-no-execute", !fetched && fault.signal == SIGSEGV && fault.code == SEGV_ACCERR &&
                                  fault.rip == (u64)page && fault.error == (PF_PRESENT | PF_USER | PF_FETCH));
  sys_munmap(page, PAGE_SIZE);
  bool read = try_read(&page[3], &value, &fault);
  verdict("read-unmapped", !read && fault.signal == SIGSEGV && fault.code == SEGV_MAPERR && fault.error == PF_USER &&
                               fault.address == (u64)&page[3]);
  read = try_read((void *)0x8000000000000000ul, &value, &fault);
  verdict("read-non-canonical", !read && fault.signal == SIGSEGV && fault.trap == 13);
}

static void undefined(void *argument) {
  (void)argument;
  asm volatile("ud2");
}

static void divide(void *argument) {
  u32 zero = *(volatile u32 *)argument;
  asm volatile("xor %%edx, %%edx\n\tmov $1, %%eax\n\tdiv %0" ::"r"(zero) : "eax", "edx");
}

static void nested(void *argument) {
  bool *inner = argument;
  struct fault fault;
  *inner = !guarded(undefined, NULL, &fault) && fault.signal == SIGILL;
  undefined(NULL);
}

static void test_exceptions(void) {
  struct fault fault = {0};
  u32 zero = 0;
  bool inner = false;
  verdict("undefined", !guarded(undefined, NULL, &fault) && fault.signal == SIGILL && fault.trap == 6);
  verdict("divide", !guarded(divide, &zero, &fault) && fault.signal == SIGFPE && fault.trap == 0);
  bool outer = !guarded(nested, &inner, &fault);
  verdict("nested-guards", inner && outer);
}

static u32 signalled;

static void on_user_signal(int signal, struct siginfo *info, struct ucontext *context) {
  (void)info;
  (void)context;
  signalled = (u32)signal;
}

static void test_signal(void) {
  install_handler(SIGUSR1, on_user_signal, 0);
  change_mask(SIG_BLOCK, 1ull << (SIGUSR1 - 1));
  sys_tgkill((int)sys_getpid(), (int)sys_gettid(), SIGUSR1);
  bool held_back = READ_ONCE(signalled) == 0;
  change_mask(SIG_UNBLOCK, 1ull << (SIGUSR1 - 1));
  verdict("signal-mask", held_back && READ_ONCE(signalled) == SIGUSR1);
}

static void test_pkru(void) {
  u32 before = rdpkru();
  wrpkru(0x12345678 & ~3u);
  u32 now = rdpkru();
  wrpkru(before);
  verdict("wrpkru", now == (0x12345678 & ~3u));
  static u8 image[XSAVE_MAX_BYTES] ALIGNED(64);
  wrpkru(0xabcdef00);
  xsave(image, XFEATURE_PKRU);
  u32 saved = *(u32 *)(image + xsave_pkru_offset());
  wrpkru(before);
  xrstor(image, XFEATURE_PKRU);
  u32 restored = rdpkru();
  memset(image + XSTATE_BV_OFFSET, 0, 8);
  xrstor(image, XFEATURE_PKRU);
  u32 initial = rdpkru();
  wrpkru(before);
  verdict("xsave-pkru", saved == 0xabcdef00 && restored == 0xabcdef00 && initial == 0);
}

static void frame_edit(int signal, struct siginfo *info, struct ucontext *context) {
  (void)signal;
  (void)info;
  frame_set_pkru(context, frame_pkru(context) ^ 0xc0000000);
}

static void test_keys(void) {
  u64 *page = map_pages(1);
  page[0] = 5;
  struct fault fault = {0};
  u64 value = 0;
  int key = take_key(0);
  verdict("take-key", key > 0);
  verdict("tag", sys_pkey_mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE, key) == 0);
  verdict("open-read", try_read(page, &value, &fault) && value == 5);
  set_rights(key, PKEY_DISABLE_WRITE);
  u32 write_denied = rdpkru();
  verdict("write-denied", try_read(page, &value, &fault) && !try_write(page, 6, &fault) &&
                              is_key_fault(&fault, page, key) && fault.pkru == write_denied &&
                              fault.error == (PF_PRESENT | PF_WRITE | PF_USER | PF_PK));
  shut_key(key);
  u32 shut = rdpkru();
  verdict("read-denied", !try_read(page, &value, &fault) && is_key_fault(&fault, page, key) && fault.pkru == shut &&
                             fault.error == (PF_PRESENT | PF_USER | PF_PK));
  verdict("rights-survive-the-signal", rdpkru() == shut);
  install_handler(SIGUSR1, frame_edit, 0);
  sys_tgkill((int)sys_getpid(), (int)sys_gettid(), SIGUSR1);
  verdict("edited-frame", rdpkru() == (shut ^ 0xc0000000));
  wrpkru(shut);
  verdict("give-key", give_key(key) == 0);
  sys_munmap(page, PAGE_SIZE);
}

static void test_vdso(void) {
  static struct pkey_area area ALIGNED(32);
  long registered = vdso_register(&area);
  if (registered == -ENOSYS) {
    report("test=vdso result=skipped reason=no-pkey_area");
    return;
  }
  int key = (int)sys_pkey_alloc(0, PKEY_DISABLE_WRITE);
  verdict("vdso-symbols", vdso_symbol("__vdso_pkey_get") && vdso_symbol("__vdso_pkey_set"));
  verdict("vdso-area", registered == 0 && area.magic == PKEY_AREA_MAGIC && area.size == sizeof area &&
                           (area.allocation_map >> key & 1));
  verdict("vdso-get", vdso_pkey_get(key) == PKEY_DISABLE_WRITE && vdso_pkey_get(16) == -EINVAL);
  verdict("vdso-set", vdso_pkey_set(key, PKEY_DISABLE_ACCESS) == 0 &&
                          pkru_rights(rdpkru(), key) == PKEY_DISABLE_ACCESS && vdso_pkey_set(key, 4) == -EINVAL);
  sys_pkey_free(key);
  verdict("vdso-freed", vdso_pkey_get(key) == -EBADF && vdso_pkey_set(key, 0) == -EBADF);
}

int main(void) {
  catch_faults();
  test_format();
  test_mutex();
  test_barrier();
  test_condition();
  test_faults();
  test_exceptions();
  test_signal();
  if (key_style() == KEYS_NONE) {
    report("test=keys result=skipped reason=no-protection-keys");
  } else {
    test_pkru();
    test_keys();
    test_vdso();
  }
  report("failed=%u", failures);
  return failures ? EXIT_FAILED : EXIT_HELD;
}
