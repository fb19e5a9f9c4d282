/* PKRU as part of a thread: properties 6, 8, 9, 15 and 33. */
#include "europa.h"

#include "europa/verify.h"

enum { KEY14_BITS = 0x30000000 };

/* --- 6: WRPKRU in one thread never changes what another may access --- */

static u32 over ALIGNED(CACHE_LINE);
static u64 foreign_writes ALIGNED(CACHE_LINE);
static u64 *shared_page;
static int shared_key;

static long write_pkru_on(void *argument) {
  run_on((int)(long)argument);
  u32 value = 0;
  while (!atomic_load(&over)) {
    for (int i = 0; i < 16; i++) {
      wrpkru(value & ~3u);
      value = value * 1664525 + 1013904223;
    }
    wrpkru(0);
    u64 writes = atomic_add(&foreign_writes, 17);
    if (writes % (17 * 64) == 0) sys_sched_yield();
  }
  return 0;
}

enum { LEAST_LOOKS = 40, MORE_LOOKS = 2000, LONGEST_SEARCH_MS = 8000, RAW_MS = 80, LEAST_RAW_ROUNDS = 200 };

/* The caller holds the key shut, then open, while the other thread writes its own PKRU. */
static u64 watch_own_pkru(int cpu, int other_cpu, u64 milliseconds) {
  if (!run_on(cpu)) return 0;
  atomic_store(&over, 0);
  u32 before = rdpkru();
  u64 looks = 0, start_writes = atomic_load(&foreign_writes);
  struct thread *other = thread_start(write_pkru_on, (void *)(long)other_cpu);
  u64 started = clock_nanoseconds();
  /* Its CPU may have to be started for it: what is looked at before it writes shows nothing. */
  while (atomic_load(&foreign_writes) == start_writes && time_left(started, LONGEST_SEARCH_MS)) sys_sched_yield();
  started = clock_nanoseconds();
  u32 shut = pkru_with(PKRU_ONLY_KEY0, shared_key, PKEY_DISABLE_ACCESS), open = pkru_with(PKRU_ONLY_KEY0, shared_key, 0);
  u64 least = given.thorough ? MORE_LOOKS : LEAST_LOOKS;
  while ((time_left(started, milliseconds) || looks < least || atomic_load(&foreign_writes) < start_writes + least) &&
         time_left(started, LONGEST_SEARCH_MS) && all_checked()) {
    struct fault fault = {0};
    wrpkru(open);
    bool passed = try_read(shared_page, NULL, &fault);
    check(passed, shared_key, "read with the key open, CPU %d; the other thread on CPU %d", "fault under PKRU 0x%08x", cpu,
          other_cpu, fault.pkru);
    wrpkru(shut);
    for (int i = 0; i < 200; i++) {
      u32 now = rdpkru();
      check(now == shut, NO_KEY, "RDPKRU after WRPKRU 0x%08x", "0x%08x", shut, now);
    }
    passed = try_read(shared_page, NULL, &fault);
    check(!passed && fault.pkru == shut, shared_key, "read with the key shut, CPU %d; the other thread on CPU %d",
          passed ? "passes" : "fault under PKRU 0x%08x", cpu, other_cpu, fault.pkru);
    if (++looks % 8 == 0) sys_sched_yield();
  }
  wrpkru(before);
  atomic_store(&over, 1);
  thread_join(other);
  return looks;
}

static void pkru_thread_local(void) {
  shared_key = obtain_key();
  shared_page = keyed_pages(1, shared_key);
  u64 tried = watch_own_pkru(0, 1, 40) + watch_own_pkru(0, 0, 40);
  return_key(shared_key);
  verdict(all_checked(), tried);
}

/* --- 8, 9: context switches --- */

/* Two threads on one CPU, each of which waits for the other by futex: whenever one runs again, the other has run there. */
enum { SWITCH_ROUNDS = 120 };
static u32 turn;
static u32 other_cpu_seen;

static void pass_turn(u32 to) {
  atomic_store(&turn, to);
  sys_futex_wake(&turn, 1);
  while (atomic_load(&turn) == to) sys_futex_wait(&turn, to, NULL);
}

static long take_turns(void *argument) {
  (void)argument;
  run_on(0);
  u32 value = 0x12345678;
  while (atomic_load(&turn) != 1) sys_futex_wait(&turn, atomic_load(&turn), NULL);
  while (!atomic_load(&over)) {
    atomic_store(&other_cpu_seen, (u32)sys_getcpu());
    wrpkru(value & ~3u);
    value = value * 1664525 + 1013904223;
    if (!given.debug) {
      u32 mine = rdpkru();
      pass_turn(0);
      check(rdpkru() == mine || atomic_load(&over), NO_KEY, "RDPKRU after a switch, written 0x%08x", "0x%08x", mine, rdpkru());
    } else {
      pass_turn(0);
    }
  }
  return 0;
}

static u32 pattern(u32 i) {
  static const u32 fixed[] = {0xfffffffc, 0x55555554, 0xaaaaaaa8, KEY14_BITS, 0xc0000000, 0x0000000c, 0};
  return i < COUNT_OF(fixed) ? fixed[i] : (i * 0x9e3779b9u ^ i << 7) & ~3u;
}

/* Calls judge(written, read) after each switch; stops when it answers false. */
static u64 switch_often(bool (*judge)(u32 written, u32 now)) {
  run_on(0);
  atomic_store(&over, 0);
  atomic_store(&turn, 0);
  u32 before = rdpkru();
  struct thread *other = thread_start(take_turns, NULL);
  u64 rounds = 0;
  for (bool on = true; on && rounds < SWITCH_ROUNDS; rounds++) {
    u32 value = pattern((u32)rounds);
    wrpkru(value);
    u32 written = rdpkru();
    pass_turn(1);
    on = judge(written, rdpkru());
  }
  wrpkru(before);
  atomic_store(&over, 1);
  atomic_store(&turn, 1);
  sys_futex_wake(&turn, 1);
  thread_join(other);
  return rounds;
}

/*
 * Register-only loop under a PKRU of which even key 0 may be denied, for preemption by the clock: answers the first value that
 * differs, or `value`. The stack is not touched before PKRU 0 is back.
 */
static NOINLINE u32 hold_pkru(u32 value, u64 loops) {
  u32 seen = value;
  asm volatile("xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\twrpkru\n"
               "1:\trdpkru\n\tcmp %2, %%eax\n\tjne 2f\n\tdec %1\n\tjnz 1b\n"
               "2:\tmov %%eax, %%r8d\n\txor %%eax, %%eax\n\txor %%edx, %%edx\n\twrpkru\n\tmov %%r8d, %%eax"
               : "+a"(seen), "+r"(loops)
               : "r"(value)
               : "rcx", "rdx", "r8", "memory");
  return seen;
}

/* Loops of hold_pkru that take about `milliseconds`. */
static u64 loops_for(u64 milliseconds) {
  enum { SAMPLE = 20000 };
  hold_pkru(0, SAMPLE);
  u64 started = clock_nanoseconds();
  hold_pkru(0, SAMPLE);
  u64 took = clock_nanoseconds() - started + 1;
  return milliseconds * 1000000 * SAMPLE / took + 1;
}

struct holder {
  u32 value, seen;
  u64 loops;
};

static long hold(void *argument) {
  struct holder *holder = argument;
  run_on(0);
  reach(1);
  holder->seen = hold_pkru(holder->value, holder->loops);
  return 0;
}

enum { PREEMPTION_MS = 40 };

/* Two threads of one CPU, neither of which ever waits. */
static void hold_under_preemption(void) {
  u32 before = rdpkru();
  u64 loops = loops_for(PREEMPTION_MS);
  struct holder mine = {0xffffffff, 0, loops}, others = {0x5a5a5a59, 0, loops};
  run_on(0);
  struct thread *other = thread_start(hold, &others);
  await(1);
  mine.seen = hold_pkru(mine.value, mine.loops);
  thread_join(other);
  wrpkru(before);
  check(mine.seen == mine.value, NO_KEY, "RDPKRU in a loop, two threads on one CPU, written 0x%08x", "0x%08x", mine.value,
        mine.seen);
  check(others.seen == others.value, NO_KEY, "RDPKRU in a loop, two threads on one CPU, written 0x%08x", "0x%08x",
        others.value, others.seen);
}

static void migrate(u32 value) {
  if (cpu_count() < 2) return;
  u32 before = rdpkru();
  run_on(0);
  wrpkru(value);
  run_on(1);
  u32 now = rdpkru();
  int cpu = sys_getcpu();
  wrpkru(before);
  check(now == value && cpu == 1, NO_KEY, "RDPKRU after a move from CPU 0 to CPU 1, written 0x%08x", "0x%08x", value, now);
}

static bool judge_preserved(u32 written, u32 now) {
  if (written == now) return true;
  step(NO_KEY, "WRPKRU 0x%08x, then wake the other thread of this CPU and sleep", "", written);
  step(NO_KEY, "(the other thread ran on CPU %d; this one is switched in again) RDPKRU",
       "0x%08x, bits 0x%08x lost", atomic_load(&other_cpu_seen), now, written ^ now);
  check(false, NO_KEY, "compare", "not what was written");
  return false;
}

static void switch_preserves_pkru(void) {
  u64 tried = switch_often(judge_preserved);
  if (all_checked()) {
    for (u32 i = 0; i < 20; i++) migrate(pattern(i));
    hold_under_preemption();
    tried += 22;
  }
  verdict(all_checked(), tried);
}

static bool judge_cleared(u32 written, u32 now) {
  if (!(now & KEY14_BITS) && atomic_load(&other_cpu_seen) == 0) return true;
  step(NO_KEY, "WRPKRU 0x%08x, then wake the other thread of this CPU and sleep", "", written);
  return check(false, NO_KEY, "(the other thread ran on CPU %d; this one is switched in again) RDPKRU",
               "0x%08x, bits of key 14 0x%08x", atomic_load(&other_cpu_seen), now, now & KEY14_BITS);
}

static void key14_cleared(void) {
  u64 tried = switch_often(judge_cleared);
  verdict(all_checked(), tried);
}

/* --- 15: clone, fork, exec --- */

static u32 pkru_at_start;
static u32 child_pkru, child_pkru_later;
static long child_area, child_tag, child_free;
static u64 *inherited_page;
static int inherited_key;

static long inherit(void *argument) {
  child_pkru = rdpkru();
  wrpkru(0);
  static struct pkey_area area ALIGNED(32);
  child_area = given.abi == ABI_VDSO ? vdso_register(&area) : 0;
  child_tag = sys_pkey_mprotect(inherited_page, PAGE_SIZE, PROT_READ | PROT_WRITE, inherited_key);
  wrpkru(0xcccccccc);
  reach(1);
  await(2);
  child_pkru_later = rdpkru();
  if (argument) child_free = sys_pkey_free(inherited_key);
  return 0;
}

static void inherited_by_clone(u32 value) {
  u32 before = rdpkru();
  wrpkru(value);
  struct thread *child = thread_start(inherit, (void *)(long)(given.abi == ABI_TASK_BITMAP));
  wrpkru(before);
  await(1);
  long key = keys_are_probed() ? 0 : sys_pkey_alloc(0, PKEY_DISABLE_WRITE);
  reach(2);
  thread_join(child);
  reach(0);
  check(child_pkru == value, NO_KEY, "clone under PKRU 0x%08x, RDPKRU in the child", "0x%08x", value, child_pkru);
  check(child_pkru_later == 0xcccccccc, NO_KEY, "pkey_alloc in the creator, RDPKRU in the child, 0xcccccccc before", "0x%08x",
        child_pkru_later);
  check(child_tag == 0, inherited_key, "pkey_mprotect in the child with a key of its creator", "%ld", child_tag);
  check(child_area == 0, NO_KEY, "pkey_area in the child of a registered thread", "%ld", child_area);
  if (key > 0) sys_pkey_free((int)key);
  if (given.abi == ABI_TASK_BITMAP) {
    check(child_free == 0, inherited_key, "pkey_free in the child of its copy", "%ld", child_free);
    long mine = sys_pkey_mprotect(inherited_page, PAGE_SIZE, PROT_READ | PROT_WRITE, inherited_key);
    check(mine == 0, inherited_key, "pkey_mprotect in the creator after pkey_free in the child", "%ld", mine);
  }
}

enum { SYS_fork = 57, SYS_wait4 = 61, SYS_execve = 59 };

/* The child reports by its exit status: 0, or the number of what was wrong. */
static int forked(u32 value) {
  if (rdpkru() != value) return 1;
  if (sys_pkey_mprotect(inherited_page, PAGE_SIZE, PROT_READ | PROT_WRITE, inherited_key)) return 2;
  if (!keys_are_probed() && sys_pkey_free(inherited_key)) return 3;
  return 0;
}

static void inherited_by_fork(u32 value) {
  u32 before = rdpkru();
  wrpkru(value);
  long child = syscall0(SYS_fork);
  if (child == 0) exit(forked(value));
  wrpkru(before);
  if (child == -ENOSYS) {
    static bool said;
    if (!said) remark("fork and execve are not there: only clone and the program's own start were looked at");
    said = true;
    return;
  }
  i32 status = -1;
  syscall4(SYS_wait4, child, (long)&status, 0, 0);
  check(status == 0, inherited_key, "fork under PKRU 0x%08x; 1 PKRU, 2 tagging, 3 freeing in the child fails", "status 0x%x",
        value, status);
  long mine = sys_pkey_mprotect(inherited_page, PAGE_SIZE, PROT_READ | PROT_WRITE, inherited_key);
  check(mine == 0, inherited_key, "pkey_mprotect in the parent after pkey_free in the child", "%ld", mine);
}

/* Before anything of this program took a key: what exec left. */
static void after_exec(void) {
  check(pkru_at_start == initial_pkru(), NO_KEY, "RDPKRU at the program's start", "0x%08x, expected 0x%08x", pkru_at_start,
        initial_pkru());
  if (keys_are_probed()) return;
  for (int key = 1; key < KEY_COUNT; key++) {
    long result = sys_pkey_mprotect(inherited_page, PAGE_SIZE, PROT_READ | PROT_WRITE, key);
    check(result == -EINVAL, key, "pkey_mprotect before any pkey_alloc, key %d", "%ld", key, result);
  }
  long first = sys_pkey_alloc(0, 0);
  check(first == 1, (int)first, "first pkey_alloc of the program", "%ld", first);
  if (first > 0) sys_pkey_free((int)first);
}

static void inheritance(void) {
  inherited_page = map_pages(1);
  after_exec();
  static struct pkey_area area ALIGNED(32);
  if (given.abi == ABI_VDSO) vdso_register(&area);
  inherited_key = obtain_key();
  static const u32 values[] = {0, 0x55555554, 0xfffffff0, 0x2468ace0};
  for (size_t i = 0; i < COUNT_OF(values); i++) {
    inherited_by_clone(values[i] & ~3u);
    inherited_by_fork(values[i] & ~3u);
  }
  verdict(all_checked(), 3 * COUNT_OF(values));
}

/* --- 33: a program that uses only instructions --- */

enum { RAW_KEYS = 4 };
static u64 *raw_pages[RAW_KEYS];
static int raw_keys[RAW_KEYS];
static u64 raw_rounds;

static long use_instructions(void *argument) {
  (void)argument;
  u32 i = 0;
  while (!atomic_load(&over)) {
    int k = (int)(i++ % RAW_KEYS);
    u32 value = (i * 0x9e3779b9u) & 0xcffffffcu; /* key 14 apart */
    u32 rights = pkru_rights(value, raw_keys[k]);
    struct fault fault = {0};
    wrpkru(value);
    bool read = try_read(raw_pages[k], NULL, &fault);
    bool read_ok = read == !(rights & PKEY_DISABLE_ACCESS);
    bool write = i % 2 ? try_write(raw_pages[k] + 1, i, &fault) : (rights == 0);
    u32 now = rdpkru();
    wrpkru(0);
    check(read_ok && write == (rights == 0) && now == value, raw_keys[k], "WRPKRU 0x%08x, read, write",
          "read %d, write %d, then PKRU 0x%08x", value, read, write, now);
    atomic_add(&raw_rounds, 1);
  }
  return 0;
}

static void raw_only_unchanged(void) {
  for (int k = 0; k < RAW_KEYS; k++) {
    raw_keys[k] = 2 + 3 * k;
    raw_pages[k] = keyed_pages(1, raw_keys[k]);
  }
  atomic_store(&over, 0);
  raw_rounds = 0;
  struct thread *raw = thread_start(use_instructions, NULL);
  u64 *page = map_pages(4), started = clock_nanoseconds();
  u32 i = 0;
  /* The first half under the proposal's four-call world; then every call of the others, the first of which switches `hybrid` over. */
  for (; (time_left(started, RAW_MS) || atomic_load(&raw_rounds) < LEAST_RAW_ROUNDS) && all_checked() &&
         time_left(started, LONGEST_SEARCH_MS); i++) {
    sys_pkey_mprotect(page, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, (int)(i % 14));
    sys_mprotect(page, PAGE_SIZE, i % 3 ? PROT_EXEC : PROT_READ);
    if (time_left(started, RAW_MS / 2)) continue;
    long key = sys_pkey_alloc(0, i & 3);
    sys_pkey_set(key > 0 ? (int)key : 1, i & 3, 0);
    sys_pkey_get((int)(i % 17), 0);
    if (key > 0) sys_pkey_free((int)key);
    wrpkru(0);
  }
  atomic_store(&over, 1);
  thread_join(raw);
  verdict(all_checked(), raw_rounds);
}

static const struct property properties[] = {
    {"pkru-thread-local", pkru_thread_local},
    {"switch-preserves-pkru", switch_preserves_pkru},
    {"key14-cleared", key14_cleared},
    {"inheritance", inheritance},
    {"raw-only-unchanged", raw_only_unchanged},
};

int main(int argc, char **argv) {
  pkru_at_start = rdpkru();
  return verify(argc, argv, properties, COUNT_OF(properties));
}
