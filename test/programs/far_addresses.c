/* Addresses above user memory, to the bit: what handlers are told of them as data, code, stack, and in what sigreturn loads. */
#include "signals.h"
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static long long resume[23];
static unsigned long next_ip, next_sp, next_di;
static volatile int running;
static unsigned char *page;

static void handler(int signal, siginfo_t *info, void *context) {
  long long *r = greg(context, 0);
  if (!running) {
    running = 1;
    memcpy(resume, r, sizeof resume);
    r[GREG_RIP] = (long long)next_ip, r[GREG_RSP] = (long long)next_sp, r[GREG_RDI] = (long long)next_di, r[GREG_RCX] = 3;
    return;
  }
  running = 0;
  printf(" signal %d code %d trap %lld error %llx address %lx", signal, info->si_code, r[GREG_TRAPNO], r[GREG_ERR], (unsigned long)info->si_addr);
  if (r[GREG_TRAPNO] == 14) printf(" cr2 %llx", r[GREG_CR2]);
  unsigned long ip = (unsigned long)r[GREG_RIP];
  if (ip - (unsigned long)page < 4096) printf(" rip code+%lx", ip - (unsigned long)page - 64);
  else printf(" rip %lx", ip);
  printf(" rsp %llx rdi %llx\n", r[GREG_RSP], r[GREG_RDI]);
  memcpy(r, resume, sizeof resume);
}

static void enter(const char *name, unsigned long ip, unsigned long sp, unsigned long di) {
  printf("%s:", name);
  next_ip = ip, next_sp = sp, next_di = di;
  __asm__ volatile("int3" ::: "memory", "cc");
}

static void run(const char *name, const char *bytes, size_t length, unsigned long sp, unsigned long di) {
  memset(page, 0xcc, 4096);
  memcpy(page + 64, bytes, length);
  enter(name, (unsigned long)page + 64, sp, di);
}
#define CODE(name, bytes, sp, di) run(name, bytes, sizeof bytes - 1, sp, di)

int main(void) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  page = mmap((void *)0x20000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
  unsigned long data = (unsigned long)mmap((void *)0x30000, 4096, PROT_READ | PROT_WRITE, flags, -1, 0) + 2048;
  stack_t stack = {.ss_sp = malloc(1 << 17), .ss_size = 1 << 17};
  sigaltstack(&stack, 0);
  static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
  for (int i = 0; i < 4; i++) handle(signals[i], handler, SA_ONSTACK);
  /* The second half is not canonical, with 57 bits either. No page of vsyscalls: kernels differ in what is there. */
  static const unsigned long all[] = {0xfffffffffffffff8, 0xffffffffffffffff, 0xfffffffffffffffb, 0xffffffff80000123, 0xffffffffffffffe0, 1, 0,
                                      0x8000000000000001, 0x7ffffffffffffff9, 0x1000000000000003, 0x8000000000000000};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    unsigned long a = all[i];
    printf("%lx\n", a);
    CODE("load", "\x48\x8b\x07", data, a);
    CODE("load of a byte", "\x8a\x07", data, a);
    CODE("store", "\x48\x89\x07", data, a);
    CODE("store before it", "\x48\x89\x47\xff", data, a);
    CODE("load of 16 bytes", "\x0f\x10\x07", data, a);
    CODE("load of 10 bytes", "\xdb\x2f", data, a);
    /* Of one byte: hosts that look for locked accesses across two lines can be at the first of these for minutes. */
    CODE("locked addition", "\xf0\x80\x07\x01", data, a);
    CODE("CMPXCHG16B", "\xf0\x48\x0f\xc7\x0f", data, a);
    CODE("MOV FS, memory", "\x8e\x27", data, a);
    CODE("FLDENV", "\xd9\x27", data, a);
    CODE("REP STOSQ", "\xf3\x48\xab", data, a);
    CODE("PUSH", "\x50", a, data);
    CODE("POP", "\x58", a, data);
    CODE("POP FS", "\x0f\xa1", a, data);
    CODE("CALL", "\xe8\x00\x00\x00\x00", a, data);
    CODE("RET", "\xc3", a, data);
    CODE("load from the stack", "\x48\x8b\x04\x24", a, data);
    CODE("MOV FS, stack", "\x8e\x24\x24", a, data);
    CODE("CALL, memory", "\xff\x17", data, a);
    if (i < 7) {
      /* Processors of AMD's arrive at an address that is not canonical, those of Intel's do not leave. */
      CODE("JMP", "\xff\xe7", data, a);
      CODE("CALL, register", "\xff\xd7", data, a);
      CODE("PUSH, RET", "\x57\xc3", data, a);
      CODE("loop, JMP", "\xb9\x00\x00\x10\x00\xff\xc9\x75\xfc\xff\xe7", data, a);
      CODE("loop, load", "\xb9\x00\x00\x10\x00\xff\xc9\x75\xfc\x48\x8b\x07", data, a);
    }
    enter("sigreturn", a, data, a);
  }
  puts("below 0");
  CODE("JMP", "\xe9\x00\x00\xf0\xff", data, 0);
  CODE("CALL", "\xe8\x00\x00\xf0\xff", data, 0);
  CODE("JZ", "\x31\xc0\x0f\x84\xf5\xff\xf0\xff", data, 0);
  CODE("load", "\x48\x8b\x05\x00\x00\xf0\xff", data, 0);
  return 0;
}
