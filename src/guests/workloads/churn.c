/*
 * Memory calls on all CPUs at once: every thread maps, unmaps, protects and tags pages of a region of its own, changes its
 * rights, and compares each access with a model of that region; besides, all retag one shared page in which each has a word, and
 * map and unmap scratch memory wherever the kernel puts it. There is no faulty twin: only a broken machine fails.
 *
 *   churn [ITERATIONS=200] [THREADS=8] [SEED=1]     iterations a thread
 *
 * Records: `E event=done …` counts what was done; `E check=failed …` for the first difference.
 */
#include "europa.h"

enum { MAX_THREADS = 64, REGION_PAGES = 16, MAX_KEYS = 5, SCRATCH_PAGES = 8 };
#define REGION_BASE 0x100000000ul /* away from where the kernel puts mappings by itself, on both sides */
#define REGION_STRIDE 0x1000000ul

struct page_model {
  bool mapped;
  int prot, key;
  u64 content; /* of the first word */
};

struct churner {
  u32 index;
  u64 random;
  u8 *region;
  u32 pkru;
  struct page_model pages[REGION_PAGES];
  u64 shared_word;
  u64 calls, accesses, faults;
  struct thread *thread;
} ALIGNED(CACHE_LINE);

static struct churner churners[MAX_THREADS];
static u64 *shared;
static u64 iterations;
static u32 key_count;
static int keys[MAX_KEYS + 1];
static u32 broken;

static u32 next(struct churner *self, u32 bound) {
  self->random ^= self->random << 13;
  self->random ^= self->random >> 7;
  self->random ^= self->random << 17;
  return (u32)((self->random >> 32) * bound >> 32);
}

/* Only the first difference is told; the others stop at their next iteration. */
#define DIFFERENCE(self, ...)                                                                                  \
  do {                                                                                                         \
    if (!atomic_exchange(&broken, 1)) failed("thread=%u " __VA_ARGS__);                                        \
  } while (0)

static void expect_success(struct churner *self, const char *call, long result) {
  self->calls++;
  if (is_error(result)) DIFFERENCE(self, "call=%s result=%ld", self->index, call, result);
}

/* si_code that the model predicts for an access, or 0: arch/x86/mm/fault.c, a key denial goes before one by protection. */
static i32 predicted_code(const struct page_model *page, u32 pkru, bool write) {
  if (!page->mapped) return SEGV_MAPERR;
  u32 rights = pkru_rights(pkru, page->key);
  if (rights & PKEY_DISABLE_ACCESS || (write && rights & PKEY_DISABLE_WRITE)) return SEGV_PKUERR;
  if (!(page->prot & (write ? PROT_WRITE : PROT_READ))) return SEGV_ACCERR;
  return 0;
}

static void access(struct churner *self, u32 number, bool write) {
  struct page_model *page = &self->pages[number];
  u64 *address = (u64 *)(self->region + number * PAGE_SIZE);
  u64 value = write ? self->random : 0;
  i32 code = predicted_code(page, self->pkru, write);
  struct fault fault = {0};
  bool passed = write ? try_write(address, value, &fault) : try_read(address, &value, &fault);
  self->accesses++;
  if (!passed) self->faults++;
  if (passed != (code == 0) || (!passed && (fault.code != code || fault.address != (u64)address || fault.pkru != self->pkru)))
    DIFFERENCE(self, "page=%u write=%d passed=%d code=%d expected-code=%d addr=0x%lx error=0x%x pkru=0x%08x prot=%d key=%d",
               self->index, number, write, passed, fault.code, code, fault.address, fault.error, self->pkru, page->prot,
               page->key);
  else if (passed && write)
    page->content = value;
  else if (passed && value != page->content)
    DIFFERENCE(self, "page=%u content=0x%lx expected=0x%lx", self->index, number, value, page->content);
  else if (code == SEGV_PKUERR && fault.key != (u32)page->key)
    DIFFERENCE(self, "page=%u si_pkey=%u key=%d", self->index, number, fault.key, page->key);
}

/* One call on pages [first, first + count) of the thread's region. */
static void change_region(struct churner *self) {
  static const u8 protections[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC};
  u32 first = next(self, REGION_PAGES), count = 1 + next(self, REGION_PAGES - first);
  u32 action = next(self, 4);
  int prot = protections[next(self, COUNT_OF(protections))], key = keys[next(self, key_count)];
  u8 *start = self->region + first * PAGE_SIZE;
  size_t bytes = count * PAGE_SIZE;
  bool all_mapped = true;
  for (u32 i = first; i < first + count; i++) all_mapped &= self->pages[i].mapped;
  if (action == 0) {
    expect_success(self, "munmap", sys_munmap(start, bytes));
  } else if (action == 1 || !all_mapped) {
    action = 1;
    long result = sys_mmap(start, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
    expect_success(self, "mmap", result == (long)start ? 0 : result);
  } else if (action == 2) {
    expect_success(self, "pkey_mprotect", sys_pkey_mprotect(start, bytes, prot, key));
  } else {
    expect_success(self, "mprotect", sys_mprotect(start, bytes, prot));
  }
  for (u32 i = first; i < first + count; i++) {
    struct page_model *page = &self->pages[i];
    if (action <= 1) *page = (struct page_model){.mapped = action == 1};
    if (action >= 1) page->prot = prot;
    if (action == 2) page->key = key;
  }
}

static void change_rights(struct churner *self) {
  self->pkru = pkru_with(self->pkru, keys[1 + next(self, key_count - 1)], next(self, 4));
  wrpkru(self->pkru);
}

/* Whichever key the page has at the moment: an access that passes sees this thread's own word, one that does not is a key fault. */
static void use_shared(struct churner *self) {
  u64 *word = &shared[self->index * (CACHE_LINE / sizeof(u64))];
  u64 value = 0;
  struct fault fault = {0};
  bool write = next(self, 2);
  expect_success(self, "retag", sys_pkey_mprotect(shared, PAGE_SIZE, PROT_READ | PROT_WRITE, keys[next(self, key_count)]));
  bool passed = write ? try_write(word, self->random, &fault) : try_read(word, &value, &fault);
  self->accesses++;
  if (passed && write)
    self->shared_word = self->random;
  else if (passed && value != self->shared_word)
    DIFFERENCE(self, "shared-word=0x%lx expected=0x%lx", self->index, value, self->shared_word);
  else if (!passed && (fault.address != (u64)word || fault.code != SEGV_PKUERR))
    DIFFERENCE(self, "shared-fault=%d addr=0x%lx error=0x%x", self->index, fault.code, fault.address, fault.error);
  if (!passed) self->faults++;
}

static void use_scratch(struct churner *self) {
  size_t bytes = (1 + next(self, SCRATCH_PAGES)) * PAGE_SIZE;
  u64 *scratch = (u64 *)sys_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  expect_success(self, "mmap-anywhere", (long)scratch);
  if (is_error((long)scratch)) return;
  for (size_t i = 0; i < bytes / sizeof(u64); i += PAGE_SIZE / sizeof(u64)) {
    if (scratch[i]) DIFFERENCE(self, "fresh-page=%p content=0x%lx", self->index, (void *)&scratch[i], scratch[i]);
    scratch[i] = self->random + i;
  }
  for (size_t i = 0; i < bytes / sizeof(u64); i += PAGE_SIZE / sizeof(u64))
    if (scratch[i] != self->random + i)
      DIFFERENCE(self, "scratch=%p content=0x%lx expected=0x%lx", self->index, (void *)&scratch[i], scratch[i], self->random + i);
  expect_success(self, "munmap-scratch", sys_munmap(scratch, bytes));
}

static long churn(void *argument) {
  struct churner *self = argument;
  wrpkru(self->pkru);
  for (u64 i = 0; i < iterations && !READ_ONCE(broken); i++) {
    u32 action = next(self, 8);
    if (action < 3) change_region(self);
    if (action == 3) change_rights(self);
    if (action == 4) use_shared(self);
    if (action == 5) use_scratch(self);
    for (u32 n = 0; n < 3; n++) access(self, next(self, REGION_PAGES), next(self, 2));
  }
  for (u32 i = 0; i < REGION_PAGES; i++) access(self, i, false);
  if (rdpkru() != self->pkru) DIFFERENCE(self, "pkru=0x%08x expected=0x%08x", self->index, rdpkru(), self->pkru);
  sys_munmap(self->region, REGION_PAGES * PAGE_SIZE);
  return 0;
}

int main(int argc, char **argv) {
  iterations = argument(argc, argv, 1, 200);
  u32 threads = (u32)argument(argc, argv, 2, 8);
  u64 seed = argument(argc, argv, 3, 1);
  if (threads < 1 || threads > MAX_THREADS) return EXIT_USAGE;
  need_keys();
  catch_faults();
  for (key_count = 1; key_count <= MAX_KEYS; key_count++) keys[key_count] = must_take_key(0);
  shared = map_pages(1);
  for (u32 i = 0; i < threads; i++) {
    struct churner *churner = &churners[i];
    churner->index = i;
    churner->random = (seed + i) * 0x9e3779b97f4a7c15ull | 1;
    churner->pkru = rdpkru();
    churner->region = (u8 *)(REGION_BASE + i * REGION_STRIDE);
  }
  for (u32 i = 0; i < threads; i++) churners[i].thread = thread_start(churn, &churners[i]);
  struct churner total = {0};
  for (u32 i = 0; i < threads; i++) {
    thread_join(churners[i].thread);
    total.calls += churners[i].calls;
    total.accesses += churners[i].accesses;
    total.faults += churners[i].faults;
  }
  report("event=done threads=%u iterations=%lu calls=%lu accesses=%lu faults=%lu", threads, iterations, total.calls,
         total.accesses, total.faults);
  return broken ? EXIT_FAILED : EXIT_HELD;
}
