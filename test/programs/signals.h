/* Installing handlers and reading the interrupted registers. */
#ifndef SIGNALS_H
#define SIGNALS_H
#include "test.h"
#include <signal.h>
#include <ucontext.h>

typedef void Handler(int, siginfo_t *, void *);

static inline void handle(int signal, Handler *handler, int flags) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
  sigemptyset(&action.sa_mask);
  if (sigaction(signal, &action, 0)) perror("sigaction"), exit(1);
}

/* gregs[] by the order of struct sigcontext: the names differ between libcs' feature macros. */
enum { GREG_R8 = 0, GREG_RDI = 8, GREG_RSI = 9, GREG_RBX = 11, GREG_RDX = 12, GREG_RAX = 13, GREG_RCX = 14, GREG_RSP = 15, GREG_RIP = 16, GREG_EFL = 17, GREG_ERR = 19, GREG_TRAPNO = 20, GREG_CR2 = 22 };
static inline long long *greg(void *context, int which) { return (long long *)&((ucontext_t *)context)->uc_mcontext.gregs[which]; }

/*
 * Accesses that may fault, as functions in assembly: the handler ends them with a value of its own by returning to their
 * caller, so no compiler can hold an opinion on what a jump out of a handler may do to its registers.
 */
long probe_read(volatile void *address);
long probe_write(volatile void *address);
long probe_call(volatile void *address);
extern char probes_start[], probes_end[];
__asm__(".text\n.globl probe_read, probe_write, probe_call, probes_start, probes_end\nprobes_start:\n"
        "probe_read: movb (%rdi), %al\n xor %eax, %eax\n ret\n"
        "probe_write: movb $0x77, (%rdi)\n xor %eax, %eax\n ret\n"
        "probe_call: jmp *%rdi\nprobes_end:\n");

/* In a handler: whether the fault was a probe's, or a fetch that probe_call led to; if so the probe returns `value`. */
static inline int end_probe(void *context, siginfo_t *info, long value) {
  long long rip = *greg(context, GREG_RIP);
  if (!(rip >= (long long)probes_start && rip < (long long)probes_end) && rip != (long long)info->si_addr) return 0;
  *greg(context, GREG_RIP) = *(long long *)*greg(context, GREG_RSP);
  *greg(context, GREG_RSP) += 8;
  *greg(context, GREG_RAX) = value;
  return 1;
}
#endif
