// Code that few programs contain: what it raises, where, and what single-stepping sees of it. Every line is one piece of code.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/ucontext.h>
#include <unistd.h>

#define PAGE 4096

static unsigned char *page, *data;
static unsigned char *entry;
static uint64_t flags, popped;
static int damage;
static volatile int state; // 0: next piece, 1: running

// The state that the piece was entered from, to which the second signal returns.
static greg_t resume[NGREG];

static void handler(int number, siginfo_t *info, void *context) {
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  if (state == 0) {
    memcpy(resume, r, sizeof resume);
    r[REG_RIP] = (greg_t)entry;
    r[REG_RDI] = (greg_t)data;
    r[REG_RAX] = r[REG_RCX] = r[REG_RDX] = 0;
    r[REG_RSP] = (greg_t)data + 2048;
    r[REG_EFL] = (r[REG_EFL] & ~0x8d5) | flags;
    state = 1;
    unsigned char *fp = (unsigned char *)((ucontext_t *)context)->uc_mcontext.fpregs;
    if (damage == 1) fp[27] = 0xff; // MXCSR
    if (damage == 2) fp[512 + 24] = 1; // XSAVE header
    if (damage == 3) ((ucontext_t *)context)->uc_mcontext.fpregs = (void *)8;
    if (damage == 4) r[REG_CSGSFS] ^= 0x100;
    return;
  }
  int64_t at = r[REG_RIP] - (greg_t)entry;
  int64_t address = (int64_t)((uint64_t)info->si_addr - (uint64_t)entry);
  printf(" signal %d code %d at %+ld", number, info->si_code, (long)at);
  if (info->si_code > 0 && info->si_code < 100) printf(" address %+ld", (long)address);
  printf(" flags %lx rsp %+ld", (unsigned long)r[REG_EFL] & 0x4d5, (long)(r[REG_RSP] - (greg_t)data - 2048));
  r[REG_EFL] &= ~0x100;
  memcpy(r, resume, sizeof resume);
  state = 0;
}

static void piece(const char *name, const char *bytes, size_t length, uint64_t set, int at_end) {
  entry = page + (at_end ? PAGE - length : 64);
  memset(page, 0xcc, PAGE);
  memcpy(entry, bytes, length);
  memset(data, 0, PAGE);
  *(uint64_t *)(data + 2048) = popped;
  flags = set;
  printf("%s:", name);
  __asm__ volatile("int3" ::: "memory", "cc");
  printf("\n");
}
#define CODE(name, bytes) piece(name, bytes, sizeof bytes - 1, 0, 0)
#define STEP(name, bytes) piece(name ", stepped", bytes, sizeof bytes - 1, 0x100, 0)
#define END(name, bytes) piece(name ", at the page's end", bytes, sizeof bytes - 1, 0, 1)

int main(void) {
  page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  data = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(page + PAGE, PAGE, PROT_NONE);
  stack_t stack = {.ss_sp = malloc(1 << 17), .ss_size = 1 << 17};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&action.sa_mask);
  for (int n = 1; n < 32; n++) sigaction(n, &action, NULL);

  CODE("fifteen bytes", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90");
  CODE("sixteen bytes", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90");
  CODE("sixteen bytes with LOCK", "\xf0\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90");
  CODE("fifteen bytes with LOCK", "\xf0\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90");
  END("half an instruction", "\x0f");
  END("LOCK and no more", "\xf0");
  END("LOCK NOP", "\xf0\x90");
  END("MOV without its immediate", "\xb8\x01\x02");
  CODE("RDSSP, PREFETCHIT1, CLDEMOTE, BNDMK", "\xf3\x48\x0f\x1e\xc8\x0f\x18\x37\x0f\x1c\x07\xf3\x0f\x1b\x07");
  CODE("INT1", "\xf1");
  CODE("INSB", "\x6c");
  CODE("REP OUTSB", "\xf3\x6e");
  CODE("SWAPGS", "\x0f\x01\xf8");
  CODE("SYSRET", "\x48\x0f\x07");
  CODE("SYSEXIT", "\x0f\x35");
  CODE("INVD", "\x0f\x08");
  CODE("XSETBV", "\x0f\x01\xd1");
  CODE("LMSW", "\x0f\x01\xf0");
  CODE("LTR", "\x0f\x00\xd8");
  CODE("POPF that sets NT, PUSHF", "\x68\x02\x40\x00\x00\x9d\x9c\x66\x81\x3c\x24\x02\x42");
  STEP("NOP", "\x90\x90");
  popped = 2;
  STEP("POPF that clears TF", "\x9d\x90");
  popped = 0x102;
  STEP("POPF that sets TF again", "\x9d\x90\x90");
  CODE("POPF that sets TF", "\x9d\x90\x90");
  STEP("PUSHF", "\x9c\x9d\x90");
  STEP("misaligned LOCK ADD", "\xf0\x83\x47\x05\x01\x90\x90");
  STEP("misaligned XCHG", "\x87\x47\x05\x90\x90");
  STEP("JMP", "\xeb\x01\x90\x90");
  STEP("CPUID", "\x0f\xa2\x90");

  // Signal frames that are bad: the SIGSEGV for them can be handled, though the handler that returns there blocks it.
  for (damage = 1; damage <= 4; damage++) {
    printf("frame damaged by %d:", damage);
    CODE("", "\x90");
  }
  damage = 0;

  // A file copied to itself, by one description and by two.
  FILE *file = tmpfile();
  int fd = fileno(file);
  if (write(fd, "0123456789", 10) != 10) return 1;
  lseek(fd, 0, SEEK_SET);
  long count = sendfile(fd, fd, NULL, 5);
  printf("sendfile to itself %ld, position %ld\n", count, (long)lseek(fd, 0, SEEK_CUR));
  off_t offset = 0;
  count = sendfile(fd, fd, &offset, 3);
  printf("sendfile with an offset %ld, %ld, position %ld\n", count, (long)offset, (long)lseek(fd, 0, SEEK_CUR));
  char text[32] = "";
  printf("%ld %s\n", (long)pread(fd, text, sizeof text - 1, 0), text);
  return 0;
}
