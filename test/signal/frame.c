// Raises an exception with known register contents and writes the signal frame that the kernel made of it, as text.
// Built and run by frame.test.ts; usage: frame ud2|int3|div|segv|kill [altstack]
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static void dump(const char *name, const unsigned char *bytes, size_t length) {
  printf("%s ", name);
  for (size_t i = 0; i < length; i++) printf("%02x", bytes[i]);
  putchar('\n');
}

static struct sigaction installed;

static void handler(int signo, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  unsigned char *frame = (unsigned char *)context - 8;
  unsigned int mxcsr;
  __asm__("stmxcsr %0" : "=m"(mxcsr));
  printf("signo %x\n", signo);
  printf("frame %lx\n", (unsigned long)frame);
  printf("info %lx\n", (unsigned long)info);
  printf("fpstate %lx\n", (unsigned long)uc->uc_mcontext.fpregs);
  printf("rsp %llx\n", (unsigned long long)uc->uc_mcontext.gregs[REG_RSP]);
  printf("rip %llx\n", (unsigned long long)uc->uc_mcontext.gregs[REG_RIP]);
  printf("eflags %llx\n", (unsigned long long)uc->uc_mcontext.gregs[REG_EFL]);
  printf("restorer %lx\n", *(unsigned long *)frame);
  printf("mxcsr %x\n", mxcsr);
  dump("bytes", frame, (unsigned char *)info - frame + 48);
  dump("fp", (void *)uc->uc_mcontext.fpregs, 576);
  fflush(stdout);
  _exit(0);
}

// R8 to R15, then RDI RSI RBP RBX RDX RCX; RAX is set by each case.
const uint64_t gpr[14] = {
    0x0808080808080808, 0x0909090909090909, 0x1010101010101010, 0x1111111111111111, 0x1212121212121212,
    0x1313131313131313, 0x1414141414141414, 0x1515151515151515, 0x0707070707070707, 0x0606060606060606,
    0x0505050505050505, 0x0303030303030303, 0x0202020202020202, 0x0101010101010101};
unsigned char xmm[256];

#define LOAD                                                                                                   \
  "fninit\n fldpi\n fld1\n"                                                                                    \
  "lea xmm(%%rip), %%rax\n"                                                                                    \
  "movups 0(%%rax), %%xmm0\n movups 16(%%rax), %%xmm1\n movups 32(%%rax), %%xmm2\n movups 48(%%rax), %%xmm3\n"  \
  "movups 64(%%rax), %%xmm4\n movups 80(%%rax), %%xmm5\n movups 96(%%rax), %%xmm6\n"                            \
  "movups 112(%%rax), %%xmm7\n movups 128(%%rax), %%xmm8\n movups 144(%%rax), %%xmm9\n"                         \
  "movups 160(%%rax), %%xmm10\n movups 176(%%rax), %%xmm11\n movups 192(%%rax), %%xmm12\n"                      \
  "movups 208(%%rax), %%xmm13\n movups 224(%%rax), %%xmm14\n movups 240(%%rax), %%xmm15\n"                      \
  "lea gpr(%%rip), %%rax\n"                                                                                    \
  "mov 0(%%rax), %%r8\n mov 8(%%rax), %%r9\n mov 16(%%rax), %%r10\n mov 24(%%rax), %%r11\n"                     \
  "mov 32(%%rax), %%r12\n mov 40(%%rax), %%r13\n mov 48(%%rax), %%r14\n mov 56(%%rax), %%r15\n"                 \
  "mov 64(%%rax), %%rdi\n mov 72(%%rax), %%rsi\n mov 80(%%rax), %%rbp\n mov 88(%%rax), %%rbx\n"                 \
  "mov 96(%%rax), %%rdx\n mov 104(%%rax), %%rcx\n"                                                             \
  "xor %%eax, %%eax\n"

int main(int argc, char **argv) {
  const char *kind = argc > 1 ? argv[1] : "";
  static unsigned char stack[65536] __attribute__((aligned(4096)));
  for (int i = 0; i < 256; i++) xmm[i] = (unsigned char)(i ^ 0x5a);
  struct sigaction action = {0};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  sigaddset(&action.sa_mask, SIGHUP);
  if (argc > 2) {
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&ss, 0);
    action.sa_flags |= SA_ONSTACK;
    printf("altstack %lx\n", (unsigned long)stack);
  }
  for (int s = 1; s < 32; s++)
    if (s != SIGKILL && s != SIGSTOP) sigaction(s, &action, &installed);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigaddset(&blocked, SIGRTMAX);
  sigprocmask(SIG_SETMASK, &blocked, 0);
  printf("pid %x\n", (unsigned)getpid());
  printf("uid %x\n", (unsigned)getuid());
  if (!strcmp(kind, "ud2")) __asm__ volatile(LOAD "ud2" : : : "memory");
  if (!strcmp(kind, "int3")) __asm__ volatile(LOAD "int3" : : : "memory");
  if (!strcmp(kind, "div")) __asm__ volatile(LOAD "div %%eax" : : : "memory");
  if (!strcmp(kind, "segv")) __asm__ volatile(LOAD "movb %%al, 0x123(%%rax)" : : : "memory");
  if (!strcmp(kind, "gp")) __asm__ volatile(LOAD "hlt" : : : "memory");
  // kill(getpid(), SIGUSR1), with RDI, RSI and RAX as the call needs them.
  if (!strcmp(kind, "kill"))
    __asm__ volatile("mov %%eax, pid(%%rip)\n" LOAD "mov pid(%%rip), %%edi\n mov $10, %%esi\n mov $62, %%eax\n syscall"
                     :
                     : "a"(getpid())
                     : "memory");
  return 1;
}

__asm__(".local pid\n .comm pid, 4, 4\n");
