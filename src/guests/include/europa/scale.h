/*
 * What the programs under scale/ share: how many operations a second N threads make together.
 *
 *   PROGRAM THREADS SECONDS [WARM-UP]        both in seconds, may have decimals; WARM-UP is half of SECONDS unless given
 *
 * Record: `E ops=N ns=N`, operations of all threads within a window of at least SECONDS behind a warm-up. The calling thread is
 * one of the THREADS, samples everybody's counters where the window begins and ends, and so measures without stopping them.
 * Exit status EXIT_HELD, EXIT_USAGE, EXIT_SKIPPED or EXIT_BROKEN.
 */
#ifndef EUROPA_SCALE_H
#define EUROPA_SCALE_H

#include "types.h"

enum { MAX_SCALE_THREADS = 64 };

struct scale_workload {
  /* Before the threads start, on the main thread; may be NULL. */
  void (*prepare)(u32 threads);
  /* On every thread, before it begins; may be NULL. */
  void (*enter)(u32 thread);
  /* Some tens of microseconds of work; answers the number of operations made. */
  u32 (*batch)(u32 thread);
  /* Threads for one of THREADS, 1 if zero: thread t belongs to CPU t % THREADS. */
  u32 threads_per_cpu;
};

/* Parses the arguments, measures, reports; what main answers. */
int scale(int argc, char **argv, const struct scale_workload *workload);

/* Binds the calling thread to one CPU; ends the program when there is none of that number. */
void bind_to_cpu(u32 cpu);

/* At most `wanted` keys, at least one, kept in scale_keys; answers how many. Skips the program where there are none. */
u32 obtain_keys(u32 wanted);
extern int scale_keys[16];

/* One page with pages of other protection on both sides, so that changing it leaves the number of mappings alone. */
u8 *lone_page(void);

/* pkey_mprotect of one page, readable and writable; ends the program when that fails. */
void rekey_page(void *page, int key);

#endif
