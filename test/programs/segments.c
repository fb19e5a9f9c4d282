/* Segment registers and their bases, as Linux sets them up: selectors that may be loaded, FSGSBASE, arch_prctl, LAR and its kin; RFLAGS.NT. */
#include "test.h"
#include <setjmp.h>
#include <signal.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { ARCH_SET_GS = 0x1001, ARCH_GET_GS = 0x1004 };

static sigjmp_buf back;
static volatile long caught;

static void fault(int signal, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)info;
  caught = signal * 0x10000L + uc->uc_mcontext.gregs[REG_ERR];
  siglongjmp(back, 1);
}

#define TRY(what, ...) \
  do { \
    caught = 0; \
    if (sigsetjmp(back, 1) == 0) { __VA_ARGS__; } \
    printf("%s: signal %ld, error code %lx\n", what, caught >> 16, caught & 0xffff); \
  } while (0)

static unsigned gs(void) { unsigned long selector; asm volatile("mov %%gs, %0" : "=r"(selector)); return selector; }
static void set_gs(unsigned short selector) { asm volatile("mov %0, %%gs" : : "r"(selector)); }
static unsigned long gs_base(void) { unsigned long base = -1; syscall(SYS_arch_prctl, ARCH_GET_GS, &base); return base; }

static void selectors(void) {
  static const unsigned short all[] = {0, 1, 2, 3, 8, 0x10, 0x1b, 0x20, 0x23, 0x28, 0x2a, 0x2b, 0x33, 0x43, 0x4b, 0x63, 0x73, 0x7b, 0x83, 0xfff8, 7, 0x2f};
  for (unsigned i = 0; i < sizeof all / 2; i++) {
    char text[32];
    sprintf(text, "MOV GS, %x", all[i]);
    set_gs(0);
    TRY(text, set_gs(all[i]));
    printf("  GS is %x\n", gs());
  }
  set_gs(0);
  unsigned short word = 0x2b, bad = 0x10, null = 0;
  TRY("MOV ES, memory", asm volatile("mov %0, %%es" : : "m"(word)));
  TRY("MOV DS, memory", asm volatile("mov %0, %%ds" : : "m"(word)));
  TRY("MOV DS, null", asm volatile("mov %0, %%ds; mov %0, %%es" : : "r"(null)));
  TRY("MOV SS", asm volatile("mov %0, %%ss" : : "r"(word)));
  TRY("MOV SS, null", asm volatile("mov %0, %%ss" : : "r"(null)));
  TRY("MOV SS, bad", asm volatile("mov %0, %%ss" : : "r"(bad)));
  unsigned long selector;
  TRY("PUSH, POP GS", asm volatile("push %1; pop %%gs; push %%gs; pop %0" : "=r"(selector) : "r"(0x2bL)));
  printf("  GS is %lx\n", selector);
  TRY("POP GS, bad", asm volatile("push %0; pop %%gs" : : "r"(0x10L)));
  set_gs(0);
}

static void bases(void) {
  set_gs(0x2b);
  printf("ARCH_SET_GS: %s\n", error_name(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x123456789000)));
  printf("  GS is %x, base %lx\n", gs(), gs_base());
  set_gs(3);
  printf("after MOV GS, 3: GS is %x, base %lx\n", gs(), gs_base());
  unsigned long base = 0;
  TRY("WRGSBASE", asm volatile("wrgsbase %0" : : "r"(0xffff800012345678)));
  TRY("RDGSBASE", asm volatile("rdgsbase %0" : "=r"(base)));
  printf("  %lx, the kernel says %lx, GS is %x\n", base, gs_base(), gs());
  TRY("WRGSBASE not canonical", asm volatile("wrgsbase %0" : : "r"(0x800000000000)));
  printf("  %lx\n", gs_base());
  TRY("WRGSBASE, 32 bits", asm volatile("wrgsbase %k0" : : "r"(0x87654321)));
  TRY("RDGSBASE, 32 bits", base = -1; asm volatile("rdgsbase %k0" : "+r"(base)));
  printf("  %lx\n", base);
  static unsigned long cells[3] = {11, 22, 33};
  unsigned long value, other;
  asm volatile("wrgsbase %2; mov %%gs:8, %0; wrgsbase %3; mov %%gs:8, %1" : "=&r"(value), "=&r"(other) : "r"(cells), "r"(cells + 1));
  printf("through the base: %lu, %lu\n", value, other);
  unsigned long self, tls;
  asm volatile("rdfsbase %0; mov %%fs:0, %1" : "=r"(self), "=r"(tls));
  check("RDFSBASE is the thread pointer", self == tls);
  set_gs(0);
}

static void *other_thread(void *argument) {
  (void)argument;
  unsigned long base;
  set_gs(0x2b);
  asm volatile("wrgsbase %0" : : "r"(0x7000UL));
  for (int i = 0; i < 50; i++) sched_yield();
  asm volatile("rdgsbase %0" : "=r"(base));
  printf("the other thread: GS is %x, base %lx\n", gs(), base);
  return 0;
}

static void threads(void) {
  pthread_t thread;
  unsigned long base;
  set_gs(0x23);
  asm volatile("wrgsbase %0" : : "r"(0x9000UL));
  pthread_create(&thread, 0, other_thread, 0);
  pthread_join(thread, 0);
  asm volatile("rdgsbase %0" : "=r"(base));
  printf("this thread: GS is %x, base %lx\n", gs(), base);
  set_gs(0);
}

static void descriptors(void) {
  static const unsigned all[] = {0, 3, 8, 0x10, 0x23, 0x20, 0x2b, 0x33, 0x43, 0x63, 0x83, 7};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    unsigned long rights = -1, limit = -1;
    unsigned char lar, lsl, verr, verw;
    asm volatile("lar %k2, %k0; sete %1" : "+r"(rights), "=q"(lar) : "r"(all[i]));
    asm volatile("lsl %2, %0; sete %1" : "+r"(limit), "=q"(lsl) : "r"((unsigned long)all[i]));
    asm volatile("verr %w1; sete %0" : "=q"(verr) : "r"(all[i]));
    asm volatile("verw %w1; sete %0" : "=q"(verw) : "r"(all[i]));
    printf("%x: LAR %d %lx, LSL %d %lx, VERR %d, VERW %d\n", all[i], lar, rights, lsl, limit, verr, verw);
  }
  unsigned limit, cpu;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(1, &set);
  sched_setaffinity(0, sizeof set, &set);
  asm volatile("lsl %1, %0" : "=r"(limit) : "r"(0x7b));
  syscall(SYS_getcpu, &cpu, 0, 0);
  printf("CPU %u, LSL of the number's descriptor: %x\n", cpu, limit & 0xfff);
}

static void nested_task(void) {
  unsigned long flags;
  for (int step = 0; step < 2; step++) {
    asm volatile("pushfq; orq %1, (%%rsp); popfq; mov %2, %%eax; syscall; pushfq; pop %0; pushfq; andq $~0x4100, (%%rsp); popfq"
                 : "=&r"(flags) : "r"(step ? 0x4100L : 0x4000L), "i"(SYS_getpid) : "rax", "rcx", "r11", "memory", "cc");
    printf("NT%s after a system call: %lx\n", step ? " and TF" : "", flags & 0x4100);
  }
}

static void far_returns(void) {
  unsigned long rsp = 0, flags = 0;
  TRY("LRETQ", asm volatile("pushq $0x33; lea 1f(%%rip), %%rax; push %%rax; lretq; ud2; 1:" : : : "rax", "memory"));
  TRY("LRETQ 16", asm volatile("mov %%rsp, %0; sub $16, %%rsp; pushq $0x33; lea 1f(%%rip), %%rax; push %%rax; lretq $16; ud2; 1: sub %%rsp, %0" : "=&r"(rsp) : : "rax", "memory"));
  printf("  RSP differs by %lx\n", rsp);
  TRY("IRETQ", asm volatile("mov %%rsp, %%rcx; pushq $0x2b; push %%rcx; pushq $0x200ad7; pushq $0x33; lea 1f(%%rip), %%rax; push %%rax; iretq; ud2; 1: pushfq; cld; pop %0; sub %%rsp, %%rcx; mov %%rcx, %1" : "=&r"(flags), "=&r"(rsp) : : "rax", "rcx", "memory", "cc"));
  printf("  flags %lx, RSP differs by %lx\n", flags & 0x200cd5, rsp);
  TRY("LRETQ, data segment", asm volatile("pushq $0x2b; push %0; lretq" : : "r"(0x400000L) : "memory"));
  TRY("LRETQ, the kernel's", asm volatile("pushq $0x10; push %0; lretq" : : "r"(0x400000L) : "memory"));
  TRY("LRETQ, null", asm volatile("pushq $0; push %0; lretq" : : "r"(0x400000L) : "memory"));
  TRY("IRETQ, null stack segment", asm volatile("pushq $0; push %%rsp; pushq $0x202; pushq $0x33; push %0; iretq" : : "r"(0x400000L) : "memory"));
  TRY("IRETQ, nested task", asm volatile("pushfq; orq $0x4000, (%%rsp); popfq; pushq $0x2b; push %%rsp; pushq $0x202; pushq $0x33; push %0; iretq" : : "r"(0x400000L) : "memory"));
}

static volatile int traps;
static void trap(int signal) { (void)signal, traps++; }

int main(void) {
  struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, 0), sigaction(SIGBUS, &action, 0), sigaction(SIGILL, &action, 0);
  signal(SIGTRAP, trap);
  selectors();
  bases();
  threads();
  descriptors();
  far_returns();
  nested_task();
  check("single steps", traps > 2);
  return failures != 0;
}
