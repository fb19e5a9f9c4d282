/* A page changes its key while others use it: properties 4, 5, 16 and 17. */
#include "europa.h"

#include "europa/verify.h"

static u32 over ALIGNED(CACHE_LINE);

/* --- 4: after pkey_mprotect returns no CPU uses the old key --- */

enum { SHOOTDOWN_MS = 150, LEAST_RETAGS = 8, MORE_RETAGS = 400, LONGEST_SEARCH_MS = 15000 };
static u64 phase ALIGNED(CACHE_LINE); /* odd: the page has the denied key and no call is under way */
static u64 reads ALIGNED(CACHE_LINE);
static u64 straight ALIGNED(CACHE_LINE); /* how often the reader has begun to work straight on */
static u64 late_phase ALIGNED(CACHE_LINE);
static u64 *page;
static int allowed_key, denied_key;

/*
 * Some time without a branch: a CPU that takes the news only at certain instructions has none here. A CPU that had not been waited
 * for would read with the old entry afterwards.
 */
static void work_straight_on(void) {
  /* Nothing else in these programs uses the x87 stack; compiled for general registers, they cannot name it either. */
  asm volatile("fldpi\n\t.rept 60\n\tfsin\n\t.endr\n\tfstp %%st(0)" ::: "memory");
}

/* Reads in a row, until one is denied; notes a read that began and ended in one odd phase. */
static void read_in_a_row(void *unused) {
  (void)unused;
  while (!READ_ONCE(over)) {
    if (READ_ONCE(phase) & 2) {
      WRITE_ONCE(straight, READ_ONCE(straight) + 1);
      work_straight_on();
    }
    u64 before = READ_ONCE(phase);
    (void)READ_ONCE(*page);
    u64 after = READ_ONCE(phase);
    WRITE_ONCE(reads, READ_ONCE(reads) + 1);
    if (before == after && (before & 1)) {
      WRITE_ONCE(late_phase, before);
      return;
    }
  }
}

static long read_on(void *argument) {
  run_on((int)(long)argument);
  wrpkru(pkru_with(PKRU_ONLY_KEY0, allowed_key, 0));
  while (!atomic_load(&over)) {
    struct fault fault = {0};
    bool denied = !guarded(read_in_a_row, NULL, &fault);
    if (denied) {
      atomic_add(&reads, 1);
      check(fault.code == SEGV_PKUERR && fault.address == (u64)page, denied_key, "read while the page is retagged",
            "si_code %d at 0x%lx, error code 0x%x", fault.code, fault.address, fault.error);
    } else if (atomic_load(&late_phase)) {
      step(denied_key, "read of the page", "passes, although pkey_mprotect %lu has returned", late_phase / 2 + 1);
      return 0;
    }
  }
  return 0;
}

/* Waits until the reader has counted `more` upwards, but not for long. */
static void let_reader_count(u64 *counter, u64 more) {
  u64 from = atomic_load(counter), started = clock_nanoseconds();
  for (u32 i = 1; atomic_load(counter) < from + more && !atomic_load(&late_phase); i++) {
    cpu_pause();
    if (i % 256 == 0 && !time_left(started, 20)) return;
  }
}

static void retag_shootdown(void) {
  allowed_key = obtain_key();
  denied_key = obtain_key();
  page = keyed_pages(1, allowed_key);
  over = 0, phase = 0, reads = 0, late_phase = 0;
  run_on(0);
  struct thread *reader = thread_start(read_on, (void *)(long)(cpu_count() > 1));
  u64 started = clock_nanoseconds(), retags = 0;
  while ((time_left(started, SHOOTDOWN_MS) || retags < (given.thorough ? MORE_RETAGS : LEAST_RETAGS) || !atomic_load(&reads)) && !atomic_load(&late_phase) &&
         all_checked() && time_left(started, LONGEST_SEARCH_MS)) {
    /* The reader has the entry with the open key in its TLB; every second time it has just begun to work straight on. */
    let_reader_count(&reads, 3);
    if (phase & 2) let_reader_count(&straight, 1);
    retag(page, 1, PROT_READ | PROT_WRITE, denied_key);
    atomic_add(&phase, 1);
    let_reader_count(&reads, 2);
    if (atomic_load(&late_phase))
      step(denied_key, "pkey_mprotect of the page from key %d to key %d has returned", "0", allowed_key, denied_key);
    atomic_add(&phase, 1);
    retag(page, 1, PROT_READ | PROT_WRITE, allowed_key);
    retags++;
  }
  atomic_store(&over, 1);
  thread_join(reader);
  return_key(denied_key);
  return_key(allowed_key);
  verdict(all_checked() && !late_phase, retags);
}

/* --- 5: key and protection change together --- */

/*
 * The page is (read-write, allowed key) or (read-only, denied key): a write passes, or faults with the PK bit, which is set even if
 * the protection denies as well. A present page and no PK bit means that the write met the new protection with the old key. (Linux
 * takes the entry away while it changes it: then the page is not present.) The other mixture would be (read-write, denied key),
 * which no access can tell from the second state.
 */
enum { ATOMIC_MS = 150, LEAST_ATOMIC_RETAGS = 12, MORE_ATOMIC_RETAGS = 2000 };
static u64 attempts ALIGNED(CACHE_LINE);
static u32 mixed ALIGNED(CACHE_LINE);

static void write_in_a_row(void *unused) {
  (void)unused;
  while (!READ_ONCE(over)) {
    WRITE_ONCE(*page, SECRET);
    WRITE_ONCE(attempts, READ_ONCE(attempts) + 1);
  }
}

static long write_on(void *argument) {
  run_on((int)(long)argument);
  wrpkru(pkru_with(PKRU_ONLY_KEY0, allowed_key, 0));
  while (!atomic_load(&over)) {
    struct fault fault = {0};
    if (guarded(write_in_a_row, NULL, &fault)) continue;
    atomic_add(&attempts, 1);
    if ((fault.error & PF_PRESENT) && !(fault.error & PF_PK)) {
      step(allowed_key, "write to the page that is (read-write, key %d) or (read-only, key %d)",
           "#PF with error code 0x%x: it was (read-only, key %d)", allowed_key, denied_key, fault.error, allowed_key);
      atomic_store(&mixed, 1);
      return 0;
    }
    check(fault.signal == SIGSEGV && fault.address == (u64)page && fault.code == SEGV_PKUERR, NO_KEY,
          "write while the page is retagged", "signal %d, si_code %d, address 0x%lx, error code 0x%x", fault.signal, fault.code,
          fault.address, fault.error);
  }
  return 0;
}

/* Gives the writer the time for `count` more attempts. */
static void let_write(u64 count) {
  u64 from = atomic_load(&attempts), started = clock_nanoseconds();
  for (u32 i = 1; atomic_load(&attempts) < from + count && (i % 256 || time_left(started, 20)); i++) cpu_pause();
}

static void retag_atomic(void) {
  allowed_key = obtain_key();
  denied_key = obtain_key();
  /* Shared: a private page that becomes writable again may be kept read-only until it is written. */
  long mapped = sys_mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
  if (is_error(mapped)) die("mmap", mapped);
  page = (u64 *)mapped;
  *page = SECRET;
  retag(page, 1, PROT_READ | PROT_WRITE, allowed_key);
  over = 0, attempts = 0, mixed = 0;
  run_on(0);
  struct thread *writer = thread_start(write_on, (void *)(long)(cpu_count() > 1));
  u64 started = clock_nanoseconds(), retags = 0;
  while ((time_left(started, ATOMIC_MS) || retags < (given.thorough ? MORE_ATOMIC_RETAGS : LEAST_ATOMIC_RETAGS)) && !atomic_load(&mixed) && all_checked() &&
         time_left(started, LONGEST_SEARCH_MS)) {
    /* The writer is in user mode, with the entry in its TLB, when the call begins; its fault is handled before the next one. */
    let_write(8);
    retag(page, 1, PROT_READ, denied_key);
    let_write(1);
    retag(page, 1, PROT_READ | PROT_WRITE, allowed_key);
    retags += 2;
  }
  atomic_store(&over, 1);
  thread_join(writer);
  sys_munmap(page, PAGE_SIZE);
  return_key(denied_key);
  return_key(allowed_key);
  verdict(all_checked() && !mixed, retags);
}

/* --- 16: si_pkey while another thread retags --- */

/*
 * The kernel looks the key up when it handles the fault, behind the mm's lock. The retagging thread changes many pages at a time, and
 * the faulting one reads the last of them: its entry changes last, and the fault waits for the call to end.
 */
enum { MANY_PAGES = 256, SI_PKEY_MS = 20000 };
static u32 wrong_keys ALIGNED(CACHE_LINE);

static long fault_on(void *argument) {
  run_on((int)(long)argument);
  u64 *last = page + (MANY_PAGES - 1) * PAGE_SIZE / 8;
  wrpkru(pkru_with(PKRU_ONLY_KEY0, allowed_key, 0));
  while (!atomic_load(&over)) {
    struct fault fault = {0};
    bool passed = try_read(last, NULL, &fault);
    atomic_add(&attempts, 1);
    if (passed || fault.code != SEGV_PKUERR || fault.key != (u32)allowed_key) continue;
    step(denied_key, "read of the page", "#PF with error code 0x%x under PKRU 0x%08x, which denies key %d and allows key %d",
         fault.error, fault.pkru, denied_key, allowed_key);
    step(allowed_key, "(meanwhile the page gets key %d) the kernel handles the fault", "SIGSEGV with si_pkey %u", allowed_key,
         fault.key);
    atomic_store(&wrong_keys, 1);
    return 0;
  }
  return 0;
}

static void si_pkey_exact(void) {
  allowed_key = obtain_key();
  denied_key = obtain_key();
  page = keyed_pages(MANY_PAGES, denied_key);
  over = 0, attempts = 0, wrong_keys = 0;
  run_on(0);
  struct thread *reader = thread_start(fault_on, (void *)(long)(cpu_count() > 1));
  u64 started = clock_nanoseconds(), retags = 0;
  while (!atomic_load(&wrong_keys) && time_left(started, SI_PKEY_MS)) {
    retag(page, MANY_PAGES, PROT_READ | PROT_WRITE, allowed_key);
    retag(page, MANY_PAGES, PROT_READ | PROT_WRITE, denied_key);
    retags++;
  }
  atomic_store(&over, 1);
  thread_join(reader);
  return_key(denied_key);
  return_key(allowed_key);
  verdict(!wrong_keys, atomic_load(&attempts));
}

/* --- 17: a failing pkey_mprotect --- */

static void failed_call_changes_nothing(void) {
  int key = obtain_key();
  u8 *first = map_pages(3);
  sys_munmap(first + PAGE_SIZE, PAGE_SIZE);
  int before = page_key(first);
  step(before, "three pages, the second unmapped; the key of the first", "%d", before);
  long result = sys_pkey_mprotect(first, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE, key);
  step(key, "pkey_mprotect of the three with key %d", "%ld", key, result);
  int after = page_key(first), third = page_key(first + 2 * PAGE_SIZE);
  step(after, "the keys of the first and the third", "%d and %d", after, third);
  if (!is_error(result)) die("the-call-did-not-fail", result);
  retag(first, 1, PROT_READ | PROT_WRITE, 0);
  return_key(key);
  verdict(after == before && third == before, 1);
}

static const struct property properties[] = {
    {"retag-shootdown", retag_shootdown},
    {"retag-atomic", retag_atomic},
    {"si-pkey-exact", si_pkey_exact},
    {"failed-call-changes-nothing", failed_call_changes_nothing},
};

int main(int argc, char **argv) { return verify(argc, argv, properties, COUNT_OF(properties)); }
