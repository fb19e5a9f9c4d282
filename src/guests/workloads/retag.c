/*
 * One thread moves a page to and fro between two keys while others, which are denied the first and allowed the second, read it.
 * After pkey_mprotect to the first has returned, and until the next call begins, no read may succeed; and no fault may be anything
 * but a key fault at that address. There is no faulty twin: only a broken machine fails.
 *
 *   retag [RETAGS=1000] [READERS=2]
 *
 * Record: `E event=done retags= readers= reads= denied= judged=`, judged being the reads that fell whole into a denied phase.
 */
#include "europa.h"

enum { MAX_READERS = 63, LONGEST_WAIT = 5000 };
static u64 *page;
static int denied_key, allowed_key;
static u64 phase ALIGNED(CACHE_LINE); /* odd: the page has the denied key and no call is under way */
static u32 over ALIGNED(CACHE_LINE);

struct reader {
  u64 reads; /* atomic */
  u64 denied, judged, late, odd_faults;
  struct fault fault;
  struct thread *thread;
} ALIGNED(CACHE_LINE);
static struct reader readers[MAX_READERS];

static long read_on(void *argument) {
  struct reader *self = argument;
  set_rights(denied_key, PKEY_DISABLE_ACCESS);
  set_rights(allowed_key, 0);
  while (!atomic_load(&over)) {
    u64 before = atomic_load(&phase);
    struct fault fault;
    bool passed = try_read(page, NULL, &fault);
    u64 after = atomic_load(&phase);
    atomic_store(&self->reads, self->reads + 1);
    if (before == after && (before & 1)) {
      self->judged++;
      if (passed) self->late++;
    }
    if (passed) continue;
    self->denied++;
    /*
     * si_pkey may name the other key: the page can be retagged before the fault is handled. Linux takes the entry away while it
     * changes it, so that the fault may also be one of a page that is not present and whose mapping has the denied key.
     */
    bool present = fault.error & PF_PRESENT;
    if (fault.signal != SIGSEGV || fault.code != SEGV_PKUERR || fault.address != (u64)page || present != !!(fault.error & PF_PK)) {
      self->odd_faults++;
      self->fault = fault;
    }
  }
  return 0;
}

/* Waits, but not for long, until a reader has begun and ended a read. */
static void let_read(struct reader *reader) {
  u64 before = atomic_load(&reader->reads);
  for (u32 wait = 0; wait < LONGEST_WAIT && atomic_load(&reader->reads) < before + 2; wait++) cpu_pause();
}

int main(int argc, char **argv) {
  u64 retags = argument(argc, argv, 1, 1000);
  u32 reader_count = (u32)argument(argc, argv, 2, 2);
  if (reader_count < 1 || reader_count > MAX_READERS) return EXIT_USAGE;
  need_keys();
  catch_faults();
  page = secret_page();
  denied_key = must_take_key(0);
  allowed_key = must_take_key(0);
  tag_page(page, allowed_key);
  for (u32 i = 0; i < reader_count; i++) readers[i].thread = thread_start(read_on, &readers[i]);
  for (u64 i = 0; i < retags; i += 2) {
    tag_page(page, denied_key);
    atomic_add(&phase, 1);
    let_read(&readers[0]);
    atomic_add(&phase, 1);
    tag_page(page, allowed_key);
  }
  atomic_store(&over, 1);
  struct reader total = {0};
  for (u32 i = 0; i < reader_count; i++) {
    thread_join(readers[i].thread);
    total.reads += readers[i].reads;
    total.denied += readers[i].denied;
    total.judged += readers[i].judged;
    total.late += readers[i].late;
    if (readers[i].odd_faults) total.fault = readers[i].fault;
    total.odd_faults += readers[i].odd_faults;
  }
  report("event=done retags=%lu readers=%u reads=%lu denied=%lu judged=%lu", retags, reader_count, total.reads, total.denied,
         total.judged);
  if (total.late) return failed("reads-with-the-old-key=%lu page=%p key=%d", total.late, (void *)page, denied_key);
  if (total.odd_faults)
    return failed("odd-faults=%lu signal=%d code=%d addr=0x%lx error=0x%x", total.odd_faults, total.fault.signal,
                  total.fault.code, total.fault.address, total.fault.error);
  return EXIT_HELD;
}
