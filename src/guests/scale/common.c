#include "europa.h"

#include "europa/scale.h"

enum { SYS_sched_setaffinity = 203 };
enum { NANOSECONDS = 1000000000 };

/* A line of its own for each thread: counting must not be what is measured. */
static struct {
  u64 operations;
  u8 padding[CACHE_LINE - sizeof(u64)];
} counters[2 * MAX_SCALE_THREADS] ALIGNED(CACHE_LINE);

static const struct scale_workload *current;
static u32 total;
static struct barrier ready;
static u32 over ALIGNED(CACHE_LINE);

int scale_keys[16];

/* "0.25" in nanoseconds; ends the program when it is no positive number. */
static u64 parse_seconds(const char *text) {
  u64 value = 0, unit = NANOSECONDS;
  bool fraction = false;
  for (const char *p = text; *p; p++) {
    if (*p == '.' && !fraction) {
      fraction = true;
    } else if (*p >= '0' && *p <= '9') {
      if (fraction) unit /= 10;
      value = fraction ? value + (u64)(*p - '0') * unit : value * 10 + (u64)(*p - '0') * NANOSECONDS;
    } else {
      exit(EXIT_USAGE);
    }
    if (value > 3600ull * NANOSECONDS) exit(EXIT_USAGE);
  }
  if (!value) exit(EXIT_USAGE);
  return value;
}

static void run_batch(u32 thread) {
  u32 made = current->batch(thread);
  WRITE_ONCE(counters[thread].operations, counters[thread].operations + made);
}

static long worker(void *argument) {
  u32 thread = (u32)(u64)argument;
  if (current->enter) current->enter(thread);
  barrier_wait(&ready);
  while (!READ_ONCE(over)) run_batch(thread);
  return 0;
}

static u64 operations(void) {
  u64 sum = 0;
  for (u32 i = 0; i < total; i++) sum += READ_ONCE(counters[i].operations);
  return sum;
}

/* Works until `end`; answers the time then. */
static u64 work_until(u64 end) {
  u64 now;
  do run_batch(0);
  while ((now = clock_nanoseconds()) < end);
  return now;
}

int scale(int argc, char **argv, const struct scale_workload *workload) {
  if (argc != 3 && argc != 4) return EXIT_USAGE;
  u64 threads = parse_number(argv[1]);
  u64 window = parse_seconds(argv[2]);
  u64 warm_up = argc == 4 ? parse_seconds(argv[3]) : window / 2;
  if (threads < 1 || threads > MAX_SCALE_THREADS) return EXIT_USAGE;
  current = workload;
  total = (u32)threads * (workload->threads_per_cpu ? workload->threads_per_cpu : 1);
  if (total > COUNT_OF(counters)) return EXIT_USAGE;
  if (workload->prepare) workload->prepare((u32)threads);
  ready.parties = total;
  static struct thread *others[2 * MAX_SCALE_THREADS];
  for (u32 i = 1; i < total; i++) others[i] = thread_start(worker, (void *)(u64)i);
  if (workload->enter) workload->enter(0);
  barrier_wait(&ready);
  /* The machine translates and optimises hot code meanwhile, on each CPU for itself. */
  u64 began = work_until(clock_nanoseconds() + warm_up);
  u64 before = operations();
  u64 ended = work_until(began + window);
  u64 made = operations() - before;
  atomic_store(&over, 1);
  for (u32 i = 1; i < total; i++) thread_join(others[i]);
  report("ops=%lu ns=%lu", made, ended - began);
  return EXIT_HELD;
}

void bind_to_cpu(u32 cpu) {
  u64 mask = 1ull << cpu;
  long result = syscall3(SYS_sched_setaffinity, 0, sizeof mask, (long)&mask);
  if (is_error(result)) die("sched_setaffinity", result);
}

u32 obtain_keys(u32 wanted) {
  need_keys();
  u32 count = 0;
  while (count < wanted && count < COUNT_OF(scale_keys)) {
    int key = take_key(0);
    if (key < 0) break;
    scale_keys[count++] = key;
  }
  if (!count) skip("no-free-key");
  return count;
}

u8 *lone_page(void) {
  u8 *pages = map_pages(3);
  long result = sys_mprotect(pages, PAGE_SIZE, PROT_NONE);
  if (!is_error(result)) result = sys_mprotect(pages + 2 * PAGE_SIZE, PAGE_SIZE, PROT_NONE);
  if (is_error(result)) die("mprotect", result);
  return pages + PAGE_SIZE;
}

void rekey_page(void *page, int key) {
  long result = sys_pkey_mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE, key);
  if (is_error(result)) die("pkey_mprotect", result);
}
