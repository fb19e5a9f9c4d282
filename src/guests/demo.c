/*
 * The demonstration behind `npm start`: threads that each own a protection key and a page.
 *
 *   demo [THREADS=6] [ROUNDS=40] [BUSY=100000]
 *
 * In every round a thread computes for BUSY steps (so that it is preempted), opens its domain, stores, shuts it, tries
 * to read a neighbour's page and to write its own while shut (both must fault, with the right address, key and PKRU), and
 * yields. PKRU must be after each phase what the thread left in it, whatever CPU it woke up on. The bits of key 14, which
 * `minimal` sets aside, are set too: with the debug clear they are gone after a context switch, and that is counted.
 *
 * Records, one kind a line:
 *   E event=start abi=probed|allocated threads= rounds= busy=
 *   E event=owner thread= tid= key= page=
 *   E event=fault thread= cpu= access=read|write addr= owner= key= pkru= error= code=    (the first of each kind a thread)
 *   E event=visit thread= cpu= rounds= switches= faults=     what the thread did on that CPU
 *   E event=thread thread= key= page= stores= switches= faults= migrations= key14-cleared= cpu= pkru= wrong=
 *   E event=done threads= switches= faults= migrations= key14-cleared= wrong= ok=0|1
 * `switches` counts domain switches (WRPKRU), `wrong` whatever was not as it should be.
 */
#include "europa.h"

enum { MAX_THREADS = 13, MAX_CPUS = 64, KEY14 = 14 };
#define KEY14_BITS (3u << (2 * KEY14))

struct visit {
  u32 rounds, switches, faults;
};

struct worker {
  u32 index;
  int key;
  u64 *page;
  u64 stores;
  u32 switches, faults, migrations, key14_cleared, wrong;
  u32 last_pkru;
  int last_cpu;
  u64 checksum;
  struct visit visits[MAX_CPUS];
  struct thread *thread;
} ALIGNED(CACHE_LINE);

static struct worker workers[MAX_THREADS];
static u32 thread_count, rounds, busy_steps;
static struct gate all_ready;

/* Data-dependent work in registers: a 64-bit xorshift. */
static NOINLINE u64 compute(u64 state, u32 steps) {
  for (u32 i = 0; i < steps; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
  }
  return state;
}

/* PKRU is what the thread set, but for key 14, which the debug clear may have taken. Sets it anew when it was. */
static void check_pkru(struct worker *self, u32 expected) {
  u32 pkru = rdpkru();
  if (pkru == (expected & ~KEY14_BITS) && pkru != expected) {
    self->key14_cleared++;
    wrpkru(expected);
  } else if (pkru != expected) {
    self->wrong++;
    report("event=wrong thread=%u cpu=%d pkru=0x%08x expected=0x%08x", self->index, sys_getcpu(), pkru, expected);
    wrpkru(expected);
  }
}

/* Only the denied key's bits are compared in the fault's PKRU: key 14's may be cleared between WRPKRU and the access. */
static void expect_fault(struct worker *self, bool write, const struct worker *owner, u32 pkru, bool show) {
  u64 *address = &owner->page[self->index];
  struct fault fault = {0};
  bool passed = write ? try_write(address, 0, &fault) : try_read(address, NULL, &fault);
  u32 error = PF_PRESENT | PF_USER | PF_PK | (write ? PF_WRITE : 0);
  bool right = !passed && is_key_fault(&fault, address, owner->key) && fault.error == error &&
               (fault.pkru | KEY14_BITS) == (pkru | KEY14_BITS);
  if (!passed) self->faults++;
  if (!right) self->wrong++;
  if (show || !right)
    report("event=%s thread=%u cpu=%d access=%s addr=%p owner=%u key=%u pkru=0x%08x error=0x%x code=%d",
           right ? "fault" : "wrong", self->index, sys_getcpu(), write ? "write" : "read", (void *)address, owner->index,
           fault.key, fault.pkru, fault.error, fault.code);
}

static long work(void *argument) {
  struct worker *self = argument;
  u32 shut = 0;
  for (u32 i = 0; i < thread_count; i++) shut = pkru_with(shut, workers[i].key, PKEY_DISABLE_ACCESS);
  shut |= KEY14_BITS;
  u32 open = pkru_with(shut, self->key, 0);
  gate_wait(&all_ready);
  wrpkru(shut);

  int cpu = sys_getcpu();
  u64 state = 0x9e3779b97f4a7c15ull + self->index;
  for (u32 round = 0; round < rounds; round++) {
    u32 switches_before = self->switches, faults_before = self->faults;
    state = compute(state, busy_steps);
    check_pkru(self, shut);

    wrpkru(open);
    self->page[thread_count]++;
    self->stores++;
    self->page[thread_count + 1] = state;
    check_pkru(self, open);
    wrpkru(shut);
    self->switches += 2;

    u32 step = 1 + round % (thread_count > 1 ? thread_count - 1 : 1);
    const struct worker *neighbour = &workers[(self->index + step) % thread_count];
    expect_fault(self, false, neighbour, shut, round == 0);
    expect_fault(self, true, self, shut, round == 0);
    check_pkru(self, shut);

    sys_sched_yield();
    check_pkru(self, shut);

    struct visit *visit = &self->visits[(u32)cpu % MAX_CPUS];
    visit->rounds++;
    visit->switches += self->switches - switches_before;
    visit->faults += self->faults - faults_before;
    int now = sys_getcpu();
    if (now != cpu) self->migrations++;
    cpu = now;
  }

  self->last_cpu = cpu;
  self->last_pkru = rdpkru();
  wrpkru(open);
  if (self->page[thread_count] != rounds || self->page[thread_count + 1] != state) self->wrong++;
  wrpkru(shut);
  self->checksum = state;
  return 0;
}

static void setup_worker(u32 index) {
  struct worker *worker = &workers[index];
  worker->index = index;
  worker->page = map_pages(1);
  worker->page[0] = 0; /* present from the start, so that every denial has the PK bit in its error code */
  worker->key = take_key(PKEY_DISABLE_ACCESS);
  if (worker->key < 0) die("no-key", worker->key);
  long result = sys_pkey_mprotect(worker->page, PAGE_SIZE, PROT_READ | PROT_WRITE, worker->key);
  if (is_error(result)) die("pkey_mprotect", result);
}

int main(int argc, char **argv) {
  thread_count = (u32)argument(argc, argv, 1, 6);
  rounds = (u32)argument(argc, argv, 2, 40);
  busy_steps = (u32)argument(argc, argv, 3, 100000);
  if (thread_count < 2 || thread_count > MAX_THREADS) {
    report("error=usage detail=THREADS-is-2-to-%u", MAX_THREADS);
    return EXIT_USAGE;
  }
  need_keys();
  catch_faults();
  report("event=start abi=%s threads=%u rounds=%u busy=%u", key_style() == KEYS_PROBED ? "probed" : "allocated",
         thread_count, rounds, busy_steps);
  for (u32 i = 0; i < thread_count; i++) setup_worker(i);
  for (u32 i = 0; i < thread_count; i++) {
    struct worker *worker = &workers[i];
    worker->thread = thread_start(work, worker);
    report("event=owner thread=%u tid=%u key=%d page=%p", i, worker->thread->number, worker->key, (void *)worker->page);
  }
  gate_open(&all_ready);

  struct worker total = {0};
  for (u32 i = 0; i < thread_count; i++) {
    struct worker *worker = &workers[i];
    thread_join(worker->thread);
    for (u32 cpu = 0; cpu < MAX_CPUS; cpu++) {
      const struct visit *visit = &worker->visits[cpu];
      if (visit->rounds)
        report("event=visit thread=%u cpu=%u rounds=%u switches=%u faults=%u", i, cpu, visit->rounds, visit->switches,
               visit->faults);
    }
    report("event=thread thread=%u key=%d page=%p stores=%lu switches=%u faults=%u migrations=%u key14-cleared=%u "
           "cpu=%d pkru=0x%08x wrong=%u",
           i, worker->key, (void *)worker->page, worker->stores, worker->switches, worker->faults, worker->migrations,
           worker->key14_cleared, worker->last_cpu, worker->last_pkru, worker->wrong);
    total.switches += worker->switches;
    total.faults += worker->faults;
    total.migrations += worker->migrations;
    total.key14_cleared += worker->key14_cleared;
    total.wrong += worker->wrong;
  }
  bool ok = total.wrong == 0 && total.faults == 2 * thread_count * rounds;
  report("event=done threads=%u switches=%u faults=%u migrations=%u key14-cleared=%u wrong=%u ok=%d", thread_count,
         total.switches, total.faults, total.migrations, total.key14_cleared, total.wrong, ok);
  return ok ? EXIT_HELD : EXIT_FAILED;
}
