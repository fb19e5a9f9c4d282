/* SGDT, SIDT, SMSW, SLDT, STR: what Linux stores for them on a processor with UMIP, and what becomes of operands that cannot be written. */
#include "signals.h"
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { ARCH_SET_GS = 0x1001, SYS_PKEY_MPROTECT = 329, SYS_PKEY_ALLOC = 330 };

static long long resume[23];
static volatile int running, steps;
static unsigned long long flags, operand;
static unsigned char *entry, *area;

static void handler(int signal, siginfo_t *info, void *context) {
  long long *r = greg(context, 0);
  if (!running) {
    running = 1, steps = 0;
    memcpy(resume, r, sizeof resume);
    r[GREG_RIP] = (long long)entry, r[GREG_RDI] = (long long)operand, r[GREG_RCX] = 4;
    r[GREG_RAX] = (long long)0xaaaaaaaaaaaaaaaa, r[GREG_R8 + 1] = 2, r[GREG_R8 + 4] = (long long)0xbbbbbbbbbbbbbbbb, r[GREG_R8 + 5] = (long long)operand;
    r[GREG_EFL] |= (long long)flags;
    return;
  }
  long at = (long)(r[GREG_RIP] - (long long)entry);
  if (signal == SIGTRAP && info->si_code == TRAP_TRACE) {
    printf(" step at +%ld", at);
    if (++steps == 3) r[GREG_EFL] &= ~0x100;
    return;
  }
  running = 0;
  if (signal == SIGTRAP) printf(" +%ld", at - 1);
  else {
    printf(" signal %d code %d trap %lld error %llx at +%ld", signal, info->si_code, r[GREG_TRAPNO], r[GREG_ERR], at);
    unsigned long address = (unsigned long)info->si_addr;
    if (address - (unsigned long)area < 0x4000) printf(" address area+%lx", address - (unsigned long)area);
    else printf(" address %lx", address);
    if (r[GREG_TRAPNO] == 14) printf(" cr2 %s", (unsigned long)r[GREG_CR2] == address ? "too" : "differs");
  }
  if (signal == SIGTRAP) printf(" rax %llx r12 %llx", r[GREG_RAX], r[GREG_R8 + 4]);
  memcpy(r, resume, sizeof resume);
}

static void show(const unsigned char *bytes, int count) {
  printf(" [");
  for (int i = 0; i < count; i++) printf("%02x", bytes[i]);
  printf("]\n");
}

static unsigned char *code_page;

static void run(const char *name, const char *bytes, size_t length, unsigned long to) {
  entry = code_page + 64;
  memset(code_page, 0xcc, 4096);
  memcpy(entry, bytes, length);
  memset(area, 0x55, 4096);
  operand = to;
  printf("%s:", name);
  __asm__ volatile("int3" ::: "memory", "cc");
  unsigned long offset = to - (unsigned long)area;
  if (offset < 4096 - 24) show(area + (offset & ~7ul), 24);
  else puts("");
}
#define CODE(name, bytes, to) run(name, bytes, sizeof bytes - 1, (unsigned long)(to))

int main(void) {
  int anonymous = MAP_PRIVATE | MAP_ANONYMOUS, all = PROT_READ | PROT_WRITE | PROT_EXEC;
  code_page = mmap((void *)0x20000000, 8192, all, anonymous | MAP_FIXED, -1, 0);
  /* Writable, read-only, nothing, with a key that denies writing. */
  area = mmap((void *)0x20010000, 0x4000, PROT_READ | PROT_WRITE, anonymous | MAP_FIXED, -1, 0);
  memset(area, 0x55, 0x4000);
  mprotect(area + 4096, 4096, PROT_READ);
  munmap(area + 8192, 4096);
  long key = syscall(SYS_PKEY_ALLOC, 0, 2);
  if (key < 0) return 77;
  syscall(SYS_PKEY_MPROTECT, area + 12288, 4096, PROT_READ | PROT_WRITE, key);
  stack_t stack = {.ss_sp = malloc(1 << 17), .ss_size = 1 << 17};
  sigaltstack(&stack, 0);
  static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
  for (int i = 0; i < 4; i++) handle(signals[i], handler, SA_ONSTACK);

  unsigned a = 7, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  printf("CPUID has UMIP: %u\n", c >> 2 & 1);

  CODE("SGDT", "\x0f\x01\x07", area + 64);
  CODE("SIDT", "\x0f\x01\x0f", area + 64);
  CODE("SMSW", "\x0f\x01\x27", area + 64);
  CODE("SLDT", "\x0f\x00\x07", area + 64);
  CODE("STR", "\x0f\x00\x0f", area + 64);
  CODE("STR, REX.W", "\x48\x0f\x00\x0f", area + 64);
  CODE("SGDT, operand size", "\x66\x0f\x01\x07", area + 64);
  CODE("SMSW AX", "\x66\x0f\x01\xe0", 0);
  CODE("SMSW EAX", "\x0f\x01\xe0", 0);
  CODE("SMSW RAX", "\x48\x0f\x01\xe0", 0);
  CODE("SMSW R12D", "\x41\x0f\x01\xe4", 0);
  CODE("SLDT AX", "\x66\x0f\x00\xc0", 0);
  CODE("SLDT EAX", "\x0f\x00\xc0", 0);
  CODE("SLDT RAX", "\x48\x0f\x00\xc0", 0);
  CODE("STR AX", "\x66\x0f\x00\xc8", 0);
  CODE("STR EAX", "\x0f\x00\xc8", 0);
  CODE("STR RAX", "\x48\x0f\x00\xc8", 0);
  CODE("STR R12", "\x49\x0f\x00\xcc", 0);
  CODE("STR AX twice 16 bits", "\x66\x66\x0f\x00\xc8", 0);
  CODE("STR RAX, 16 bits and REX.W", "\x66\x48\x0f\x00\xc8", 0);
  CODE("STR EAX, address size", "\x67\x0f\x00\xc8", 0);
  CODE("STR EAX, REX before a prefix", "\x48\x66\x0f\x00\xc8", 0);
  CODE("STR EAX, REX twice", "\x48\x40\x0f\x00\xc8", 0);
  CODE("STR EAX, four prefixes", "\x66\x67\x64\xf2\x0f\x00\xc8", 0);
  CODE("STR EAX, five prefixes", "\x66\x67\x64\xf2\xf3\x0f\x00\xc8", 0);
  CODE("STR EAX, the same prefix ten times", "\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x0f\x00\xc8", 0);
  CODE("LMSW", "\x0f\x01\x37", area + 64);
  CODE("LLDT", "\x0f\x00\x17", area + 64);

  CODE("displacement of a byte", "\x0f\x01\x67\xf0", area + 80);
  CODE("displacement of four", "\x0f\x01\xa7\xf0\xff\xff\xff", area + 80);
  CODE("base and index", "\x0f\x01\x64\x8f\xf0", area + 64);
  CODE("R13, no displacement", "\x41\x0f\x01\x65\x00", area + 64);
  CODE("R13 and R9 times 8", "\x43\x0f\x01\x64\xcd\xf0", area + 64);
  CODE("SIB without index", "\x0f\x01\x24\x27", area + 64);
  CODE("SIB without base", "\x0f\x01\x24\x25\x40\x00\x01\x20", area + 64);
  CODE("SIB without base, with index", "\x0f\x01\x24\x8d\x30\x00\x01\x20", area + 64);
  CODE("relative to RIP", "\x0f\x01\x25\xf9\xff\x00\x00", area + 64);
  CODE("relative to RIP, REX.B", "\x41\x0f\x01\x25\xf8\xff\x00\x00", area + 64);
  syscall(SYS_arch_prctl, ARCH_SET_GS, (long)area + 16);
  CODE("GS", "\x65\x0f\x01\x24\x25\x30\x00\x00\x00", area + 64);
  CODE("GS twice", "\x65\x65\x0f\x01\x24\x25\x30\x00\x00\x00", area + 64);
  CODE("GS and ES", "\x65\x26\x0f\x01\x24\x25\x30\x00\x00\x00", area + 64);
  CODE("ES", "\x26\x0f\x01\x27", area + 64);
  CODE("address size", "\x67\x0f\x01\x27", area + 64);
  CODE("address size, index", "\x67\x0f\x01\x64\x8f\xf0", 0xffffffff00000000 + (unsigned long)area + 64);
  CODE("address size, relative to RIP", "\x67\x0f\x01\x25\xf8\xff\x00\x00", area + 64);
  CODE("address size, GS", "\x65\x67\x0f\x01\x67\xf0", 0x200000040);
  show(area + 64, 16);

  CODE("across into a read-only page", "\x0f\x01\x07", area + 4096 - 6);
  show(area + 4088, 8);
  CODE("read-only", "\x0f\x01\x07", area + 4096);
  CODE("nothing there", "\x0f\x00\x0f", area + 8192);
  CODE("denied by a key", "\x0f\x01\x27", area + 12288);
  CODE("null", "\x0f\x01\x0f", 0);
  CODE("the end of user memory", "\x0f\x01\x0f", 0x7fffffffeff7);
  CODE("kernel's half", "\x0f\x01\x0f", 0xffff800000000001);
  CODE("-2", "\x0f\x01\x0f", 0xfffffffffffffffe);
  CODE("-1", "\x0f\x01\x0f", 0xffffffffffffffff);
  CODE("not canonical", "\x0f\x01\x0f", 0x1000000000000003);

  flags = 0x100;
  CODE("single-stepped", "\x90\x0f\x00\xc8\x90\x90\x90", 0);
  flags = 0;

  /* Code that is stored to: MOV EAX, 55555555h; RET, before and after SMSW has written two of its bytes. */
  unsigned char *function = code_page + 4096;
  memcpy(function, "\xb8\x55\x55\x55\x55\xc3", 6);
  int (*call)(void);
  memcpy(&call, &function, sizeof call);
  for (int i = 0; i < 3; i++) {
    for (int n = 0; n < 10000; n++) call();
    printf("returns %x\n", call());
    CODE("SMSW into it", "\x0f\x01\x27", function + 1 + i);
  }

  /* At the end of a page, with nothing behind it; and where the kernel may not read code as data. */
  code_page = mmap((void *)0x20030000, 8192, all, anonymous | MAP_FIXED, -1, 0);
  munmap(code_page + 4096, 4096);
  memset(code_page, 0xcc, 4096);
  entry = code_page + 4096 - 5;
  memcpy(entry, "\x0f\x00\xc8\xcc\xcc", 5);
  printf("at a page's end:");
  __asm__ volatile("int3" ::: "memory", "cc");
  puts("");
  mprotect(code_page, 4096, PROT_EXEC);
  printf("only executable:");
  __asm__ volatile("int3" ::: "memory", "cc");
  puts("");
  return 0;
}
