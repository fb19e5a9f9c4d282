/*
 * Freestanding library for Europa's guest programs: no libc, nothing but Linux x86-64 system calls and the instructions
 * of the processor. A program includes this header, defines `int main(int argc, char **argv)` and is linked with lib/.
 *
 * Result protocol: a line on standard output that starts with "E " is a record of space-separated key=value pairs, for
 * programs on the host; other lines are for people. Exit status: EXIT_HELD, EXIT_FAILED, EXIT_USAGE, EXIT_BROKEN or EXIT_SKIPPED.
 */
#ifndef EUROPA_H
#define EUROPA_H

#include "europa/types.h"

#include "europa/fault.h"
#include "europa/pkey.h"
#include "europa/pkru.h"
#include "europa/print.h"
#include "europa/signal.h"
#include "europa/sync.h"
#include "europa/syscall.h"
#include "europa/thread.h"
#include "europa/vdso.h"
#include "europa/workload.h"

/* Exit status of the guest programs. */
enum {
  EXIT_HELD = 0,    /* everything checked was as it should be */
  EXIT_FAILED = 1,  /* a check failed; a line says what was seen */
  EXIT_USAGE = 2,   /* wrong arguments */
  EXIT_BROKEN = 3,  /* the program could not do its work: out of memory, no thread */
  EXIT_SKIPPED = 77 /* the machine lacks what the program needs: no PKU, other ABI */
};

/* Value of an auxiliary vector entry (AT_*), or 0. */
u64 auxv(u64 type);

enum { AT_PAGESZ = 6, AT_RANDOM = 25, AT_SYSINFO_EHDR = 33 };

#endif
