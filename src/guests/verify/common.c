#include "europa.h"

#include "europa/verify.h"

struct circumstances given;

enum { MAX_STEPS = 24, TEXT_BYTES = 144 };

static const struct property *current;
static u64 began;
static bool failed_check;

static struct {
  u32 thread, pkru;
  i32 cpu, key;
  char did[TEXT_BYTES], result[TEXT_BYTES];
} steps[MAX_STEPS];
static u32 step_count;
static struct mutex step_lock;

static void without_spaces(char *text) {
  for (; *text; text++)
    if (*text == ' ') *text = '~';
}

/* `did` and `result` share one argument list: format them as one string and part it at the separator. */
static void add_step(int key, const char *did, const char *result, va_list arguments) {
  char both[2 * TEXT_BYTES], text[2 * TEXT_BYTES];
  format(both, sizeof both, "%s\n%s", did, result);
  format_va(text, sizeof text, both, arguments);
  size_t part = 0;
  while (text[part] && text[part] != '\n') part++;
  u32 pkru = rdpkru();
  mutex_lock(&step_lock);
  if (step_count < MAX_STEPS) {
    u32 i = step_count++;
    steps[i].thread = thread_self()->number ? thread_self()->number : thread_self()->tid;
    steps[i].cpu = sys_getcpu();
    steps[i].pkru = pkru;
    steps[i].key = key;
    format(steps[i].result, TEXT_BYTES, "%s", text[part] ? text + part + 1 : "");
    text[part] = '\0';
    format(steps[i].did, TEXT_BYTES, "%s", text);
    without_spaces(steps[i].did);
    without_spaces(steps[i].result);
  }
  mutex_unlock(&step_lock);
}

void step(int key, const char *did, const char *result, ...) {
  va_list arguments;
  va_start(arguments, result);
  add_step(key, did, result, arguments);
  va_end(arguments);
}

bool check(bool ok, int key, const char *did, const char *result, ...) {
  if (ok || atomic_exchange(&failed_check, true)) return ok;
  va_list arguments;
  va_start(arguments, result);
  add_step(key, did, result, arguments);
  va_end(arguments);
  return false;
}

bool all_checked(void) { return !atomic_load(&failed_check); }

void remark(const char *text) {
  char copy[TEXT_BYTES * 2];
  format(copy, sizeof copy, "%s", text);
  without_spaces(copy);
  report("property=%s note=%s", current->name, copy);
}

void verdict(bool holds, u64 tried) {
  for (u32 i = 0; !holds && i < step_count; i++)
    report("property=%s step=%u thread=%u cpu=%d pkru=0x%08x key=%d did=%s result=%s", current->name, i + 1,
           steps[i].thread, steps[i].cpu, steps[i].pkru, steps[i].key, steps[i].did, steps[i].result);
  report("property=%s observed=%s tried=%lu nanoseconds=%lu", current->name, holds ? "holds" : "violated", tried,
         clock_nanoseconds() - began);
}

static u32 point_reached;

void reach(u32 point) {
  atomic_store(&point_reached, point);
  sys_futex_wake(&point_reached, 0x7fffffff);
}

void await(u32 point) {
  u32 now;
  while ((now = atomic_load(&point_reached)) < point) sys_futex_wait(&point_reached, now, NULL);
}

enum { SYS_sched_setaffinity = 203, SYS_sched_getaffinity = 204 };

static u64 allowed_cpus(void) {
  static u64 mask;
  if (!mask) syscall3(SYS_sched_getaffinity, 0, sizeof mask, (long)&mask);
  return mask;
}

u32 cpu_count(void) {
  u32 count = 0;
  for (u64 mask = allowed_cpus(); mask; mask &= mask - 1) count++;
  return count;
}

bool run_on(int cpu) {
  u64 mask = cpu == ANY_CPU ? allowed_cpus() : allowed_cpus() & 1ul << cpu;
  return mask && syscall3(SYS_sched_setaffinity, 0, sizeof mask, (long)&mask) == 0;
}

bool keys_are_probed(void) { return given.abi == ABI_MINIMAL || (given.abi == ABI_HYBRID && !given.managed); }

u32 initial_pkru(void) { return given.abi == ABI_LINUX ? PKRU_ONLY_KEY0 : 0; }

/* B, C and D: init_pkru; the two reserved keys as they were; 0. */
u32 pkru_in_handler(u32 interrupted) { return keys_are_probed() ? interrupted & 0xf0000000u : initial_pkru(); }

int obtain_key(void) { return must_take_key(0); }

void return_key(int key) {
  long result = give_key(key);
  if (is_error(result)) die("return-key", result);
}

void retag(void *page, size_t pages, int prot, int key) {
  long result = sys_pkey_mprotect(page, pages * PAGE_SIZE, prot, key);
  if (is_error(result)) die("pkey_mprotect", result);
}

u64 *keyed_pages(size_t pages, int key) {
  u64 *first = map_pages(pages);
  for (size_t i = 0; i < pages; i++) first[i * PAGE_SIZE / 8] = SECRET;
  retag(first, pages, PROT_READ | PROT_WRITE, key);
  return first;
}

bool reads_under(u32 pkru, const void *address, struct fault *fault) {
  u32 before = rdpkru();
  wrpkru(pkru);
  bool passed = try_read(address, NULL, fault);
  wrpkru(before);
  return passed;
}

bool writes_under(u32 pkru, void *address, struct fault *fault) {
  u32 before = rdpkru();
  wrpkru(pkru);
  bool passed = try_write(address, SECRET, fault);
  wrpkru(before);
  return passed;
}

int page_key(const void *page) {
  struct fault fault = {0};
  if (reads_under(PKRU_ONLY_KEY0, page, &fault)) return 0;
  return fault.code == SEGV_PKUERR ? (int)fault.key : NO_KEY;
}

bool time_left(u64 started, u64 milliseconds) { return clock_nanoseconds() - started < milliseconds * 1000000; }

static const char *const abi_names[] = {"minimal", "linux", "mm-bitmap", "task-bitmap", "hybrid", "vdso"};

static bool read_flag(const char *flag) {
  if (same(flag, "+managed")) given.managed = true;
  else if (same(flag, "+debug")) given.debug = true;
  else if (same(flag, "+no-free-key")) given.no_free_key = true;
  else if (same(flag, "+page0")) given.page0 = true;
  else if (same(flag, "+thorough")) given.thorough = true;
  else return false;
  return true;
}

static void look_at(const struct property *property) {
  current = property;
  step_count = 0;
  failed_check = false;
  point_reached = 0;
  u32 before = rdpkru();
  began = clock_nanoseconds();
  property->look();
  wrpkru(before);
  run_on(ANY_CPU);
}

static int usage(const char *argument) {
  report("error=usage argument=%s", argument);
  return EXIT_USAGE;
}

int verify(int argc, char **argv, const struct property *properties, size_t count) {
  if (argc < 2) return usage("ABI");
  size_t name = 0;
  while (name < COUNT_OF(abi_names) && !same(abi_names[name], argv[1])) name++;
  if (name == COUNT_OF(abi_names)) return usage(argv[1]);
  given.abi = (enum abi)name;
  int first = 2;
  while (first < argc && argv[first][0] == '+')
    if (!read_flag(argv[first++])) return usage(argv[first - 1]);
  /* Any of the four calls switches `hybrid` over. */
  if (given.managed) sys_pkey_get(0, 0);
  need_keys();
  catch_faults();
  for (int i = first; i < argc; i++) {
    size_t which = 0;
    while (which < count && !same(properties[which].name, argv[i])) which++;
    if (which == count) return usage(argv[i]);
    look_at(&properties[which]);
  }
  return EXIT_HELD;
}
