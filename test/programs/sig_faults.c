/* Exceptions as signals: number, code, address, trap number, error code, RIP; and going on after the handler moved RIP. */
#include "signals.h"
#include <sys/mman.h>

static char *page;
static volatile int skip; /* bytes by which the handler moves RIP: the length of the faulting instruction, or 0 */
static char *code_start;

static void show(int signal, siginfo_t *info, void *context) {
  long offset = (char *)info->si_addr - page, code = (char *)info->si_addr - code_start;
  printf("signal %d code %d trap %lld error %llx ", signal, info->si_code, *greg(context, GREG_TRAPNO), *greg(context, GREG_ERR));
  if (signal == SIGSEGV && info->si_code != SI_KERNEL) {
    if (offset >= 0 && offset < 8192) printf("page+%ld cr2 %s", offset, *greg(context, GREG_CR2) == (long long)info->si_addr ? "equal" : "differs");
    else printf("at %p", info->si_addr);
  } else if (signal == SIGFPE || signal == SIGILL) {
    printf("instruction+%ld", code);
  }
  if (*greg(context, GREG_RIP) == (long long)info->si_addr && signal == SIGSEGV) puts(" rip there");
  else printf(" rip+%lld\n", *greg(context, GREG_RIP) - (long long)code_start);
  if (signal == SIGTRAP) *greg(context, GREG_EFL) &= ~0x100ll;
  if (*greg(context, GREG_RIP) == (long long)info->si_addr && signal == SIGSEGV && info->si_addr) {
    /* A fetch failed: return from the call that led there. */
    *greg(context, GREG_RIP) = *(long long *)*greg(context, GREG_RSP);
    *greg(context, GREG_RSP) += 8;
  }
  *greg(context, GREG_RIP) += skip;
}

/* Runs `setup` and then one instruction, whose address the handler knows. `length`: bytes to skip, 0 to go on as it is. */
#define FAULT(what, length, setup, instruction, operand)                                                                \
  do {                                                                                                                  \
    printf("%s: ", what);                                                                                               \
    skip = (length);                                                                                                    \
    __asm__ volatile("lea 9f(%%rip), %%rax\n mov %%rax, %0\n" setup "\n9: " instruction "\n"                             \
                     : "=m"(code_start)                                                                                 \
                     : "S"(operand)                                                                                     \
                     : "rax", "rcx", "rdx", "rbx", "memory", "cc", "xmm0", "xmm1");                                      \
  } while (0)

int main(void) {
  page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *none = page + 4096;
  mprotect(none, 4096, PROT_NONE);
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++) handle(signals[i], show, 0);

  FAULT("read of PROT_NONE", 2, "", "movb (%1), %%al", none + 5);
  FAULT("write of PROT_NONE", 3, "", "movb $7, (%1)", none);
  mprotect(none, 4096, PROT_READ);
  FAULT("write of a read-only page", 3, "", "movb $7, (%1)", none + 9);
  FAULT("locked add there", 4, "", "lock addb $1, (%1)", none + 10);
  FAULT("store across into it", 3, "", "movq %%rax, (%1)", page + 4090);
  mprotect(none, 4096, PROT_NONE);
  FAULT("load across into PROT_NONE", 3, "", "movq (%1), %%rax", page + 4093);
  FAULT("16 bytes across", 3, "", "movups (%1), %%xmm0", page + 4088);
  munmap(none, 4096);
  FAULT("read of an unmapped page", 2, "", "movb (%1), %%al", none + 4095);
  FAULT("null pointer", 2, "", "movl (%1), %%eax", (char *)0);
  FAULT("null pointer with offset, store", 3, "", "movl %%eax, 64(%1)", (char *)0);
  FAULT("noncanonical address", 3, "", "movq (%1), %%rax", (char *)0x8000000000000000);
  FAULT("kernel half", 3, "", "movq (%1), %%rax", (char *)0xffff800000000000);
  FAULT("misaligned movaps", 3, "", "movaps (%1), %%xmm0", page + 8);
  FAULT("hlt", 1, "", "hlt", page);
  FAULT("cli", 1, "", "cli", page);
  FAULT("in", 1, "", "inb %%dx, %%al", page);
  FAULT("mov from cr0", 3, "", "mov %%cr0, %%rax", page);
  FAULT("wrmsr", 2, "", "wrmsr", page);
  FAULT("invd", 2, "", "invd", page);
  FAULT("lldt", 3, "", "lldt %%ax", page);
  FAULT("ltr", 3, "", "ltr %%ax", page);
  FAULT("lmsw", 3, "", "lmsw %%ax", page);
  FAULT("swapgs", 3, "", "swapgs", page);
  FAULT("xsetbv", 3, "", "xsetbv", page);
  FAULT("sysretq", 3, "", "sysretq", page);
  FAULT("sysexitq", 3, "", ".byte 0x48, 0x0f, 0x35", page);
  FAULT("int $13", 2, "", "int $13", page);
  FAULT("ud2", 2, "", "ud2", page);
  FAULT("lock on a register form", 3, "", ".byte 0xf0, 0x01, 0xc0", page);
  FAULT("undefined opcode", 1, "", ".byte 0x06", page);
  FAULT("idivl by zero", 2, "xorl %%ebx, %%ebx; movl $5, %%eax; cdq", "idivl %%ebx", page);
  FAULT("divq by zero", 3, "xorl %%ebx, %%ebx; movl $5, %%eax; cdq", "divq %%rbx", page);
  FAULT("idivl overflow", 2, "movl $-1, %%ebx; movl $0x80000000, %%eax; cdq", "idivl %%ebx", page);
  FAULT("divl overflow", 2, "movl $1, %%ebx; movl $1, %%edx", "divl %%ebx", page);
  FAULT("int3", 0, "", "int3", page);
  FAULT("int1", 0, "", ".byte 0xf1", page);
  FAULT("single step", 0, "pushfq; orq $0x100, (%%rsp); popfq", "nop; nop", page);
  FAULT("unmasked SSE division by zero", 4,
        "pushq $0x1d80; ldmxcsr (%%rsp); popq %%rax; pxor %%xmm0, %%xmm0; movq $0x3ff0000000000000, %%rax; movq %%rax, %%xmm1", "divsd %%xmm0, %%xmm1", page);
  __asm__ volatile("pushq $0x1f80; ldmxcsr (%%rsp); popq %%rax" : : : "rax");
  FAULT("call into an unmapped page", 0, "", "call *%1", (void *)none);
  FAULT("call into a page without PROT_EXEC", 0, "", "call *%1", (void *)(page + 16));
  puts("end");
  return 0;
}
