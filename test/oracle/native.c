// Runs test cases on the host's processor: `native CASES RESULTS`. The address space and the meaning of a case are
// described in driver.ts, the two record formats below and in native.ts. `native` alone prints how many nanoseconds a
// locked access across a cache line takes.
//
// The whole run happens in signal handlers. A case is started by rewriting the signal frame and returning to it, which
// sets all registers at once; it ends by an exception (usually the INT3 after its code), whose frame holds the result
// and becomes the start of the next case. So a case costs one exception and one sigreturn.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <time.h>
#include <unistd.h>

#define PAGE 0x1000ul
#define CODE 0x10000000ul
#define MAX_CODE 64
#define RODATA (DATA - PAGE)
#define DATA 0x20000000ul
#define STACK 0x30000000ul

#define RFLAGS_LOADED 0xcd5u
#define NO_EXCEPTION 0xffffffffu
#define TIMEOUT 0x100u
// A case that has run for so many ticks of TICK_US each doesn't end. Both are in user time, which a host that is busy doesn't
// take from a case; but one that delays split locks (Linux's split_lock_detect, or a hypervisor's) may make a single one
// last for dozens of timer interrupts, hence the second altogether. A third argument, in ticks, is for those that took longer.
#define TICK_US 50000
static int patience = 20;

struct test_case {
  uint32_t size; // of the whole record
  uint32_t code_length;
  uint32_t has_fx;
  uint32_t runs;
  uint32_t rflags;
  uint32_t mxcsr;
  uint64_t gpr[16];
  uint8_t xmm[256];
  uint8_t code[MAX_CODE];
  // then, if has_fx: 512 bytes FXSAVE image; then the runs
};

struct result {
  uint32_t size; // of the whole record
  uint32_t vector;
  uint64_t error_code;
  uint64_t cr2;
  uint64_t gpr[16];
  uint64_t rip;
  uint64_t rflags;
  uint8_t fx[512];
  uint32_t runs;
  uint32_t zero;
  // then the runs
};

struct run {
  uint32_t address;
  uint32_t length;
  uint8_t bytes[]; // padded to a multiple of 8
};

// Index of each general register, in encoding order, in gregset_t.
static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

// Writable memory and its contents before the case.
static struct area {
  uint8_t *base;
  uint8_t before[2 * PAGE] __attribute__((aligned(64)));
  uint8_t pattern[2 * PAGE];
} areas[2] = {{.base = (uint8_t *)DATA}, {.base = (uint8_t *)STACK}};

static const uint8_t *input, *input_end;
static const struct test_case *current;
static uint8_t *code_alias; // writable view of the code page
static uint8_t output[1 << 20];
static size_t output_used;
static int output_fd;
static int ticks; // since the current case began
static ucontext_t before_all;
static uint8_t fx_before_all[512];

static void die(const char *what) {
  perror(what);
  _exit(2);
}

static void flush_output(void) {
  size_t done = 0;
  while (done < output_used) {
    ssize_t n = write(output_fd, output + done, output_used - done);
    if (n <= 0) die("write");
    done += (size_t)n;
  }
  output_used = 0;
}

static size_t padded(size_t length) { return (length + 7) & ~7ul; }

// Whether the 64 bytes at p and q are equal. p and q are multiples of 64.
static int equal_block(const uint8_t *p, const uint8_t *q) {
  const uint64_t *a = (const uint64_t *)p, *b = (const uint64_t *)q;
  uint64_t difference = 0;
  for (int i = 0; i < 8; i++) difference |= a[i] ^ b[i];
  return difference == 0;
}

// Appends the changed bytes of one area to the output and undoes the changes. Returns the number of runs.
static uint32_t record_changes(struct area *area) {
  uint32_t runs = 0;
  struct run *run = NULL; // the one that ends at the byte before, if any
  for (size_t block = 0; block < sizeof area->before; block += 64) {
    if (equal_block(area->base + block, area->before + block)) {
      run = NULL;
      continue;
    }
    for (size_t i = block; i < block + 64; i++) {
      if (area->base[i] == area->before[i]) {
        run = NULL;
        continue;
      }
      if (run == NULL) {
        run = (struct run *)(output + output_used);
        run->address = (uint32_t)(uintptr_t)(area->base + i);
        run->length = 0;
        output_used += sizeof *run;
        runs++;
      }
      if (run->length % 8 == 0) {
        memset(output + output_used, 0, 8);
        output_used += 8;
      }
      run->bytes[run->length++] = area->base[i];
      area->base[i] = area->before[i];
    }
  }
  return runs;
}

// Takes the case's own contents out of the memory again.
static void restore_pattern(void) {
  const uint8_t *p = (const uint8_t *)(current + 1) + (current->has_fx ? 512 : 0);
  for (uint32_t i = 0; i < current->runs; i++) {
    const struct run *run = (const struct run *)p;
    struct area *area = &areas[run->address >= STACK];
    size_t offset = run->address - (uintptr_t)area->base;
    memcpy(area->base + offset, area->pattern + offset, run->length);
    memcpy(area->before + offset, area->pattern + offset, run->length);
    p += sizeof *run + padded(run->length);
  }
}

static void record(const ucontext_t *uc, int timed_out) {
  const greg_t *g = uc->uc_mcontext.gregs;
  // Worst case of the runs: every other byte of four pages, 16 bytes each.
  if (sizeof output - output_used < sizeof(struct result) + 4 * PAGE / 2 * 16) flush_output();
  struct result *r = (struct result *)(output + output_used);
  size_t start = output_used;
  output_used += sizeof *r;
  memset(r, 0, sizeof *r);
  r->vector = timed_out ? TIMEOUT : (uint32_t)g[REG_TRAPNO];
  r->rip = (uint64_t)g[REG_RIP];
  if (r->vector == 3 && r->rip == CODE + current->code_length + 1) {
    r->vector = NO_EXCEPTION;
    r->rip--;
  } else if (!timed_out && r->vector != 3) {
    r->error_code = (uint64_t)g[REG_ERR];
    if (r->vector == 14) r->cr2 = (uint64_t)g[REG_CR2];
  }
  for (int i = 0; i < 16; i++) r->gpr[i] = (uint64_t)g[greg_of[i]];
  r->rflags = (uint64_t)g[REG_EFL];
  memcpy(r->fx, uc->uc_mcontext.fpregs, 416); // what follows is the kernel's or reserved
  for (int a = 0; a < 2; a++) r->runs += record_changes(&areas[a]);
  r->size = (uint32_t)(output_used - start);
  restore_pattern();
}

static void load(ucontext_t *uc) {
  greg_t *g = uc->uc_mcontext.gregs;
  uint8_t *fx = (uint8_t *)uc->uc_mcontext.fpregs;
  const struct test_case *c = current;
  const uint8_t *p = (const uint8_t *)(c + 1);

  if (memcmp(code_alias, c->code, MAX_CODE) != 0) memcpy(code_alias, c->code, MAX_CODE);
  for (int i = 0; i < 16; i++) g[greg_of[i]] = (greg_t)c->gpr[i];
  g[REG_RIP] = (greg_t)CODE;
  // sigreturn leaves ID as it is now (a POPF may have set it), so it is cleared here and not in the frame.
  __asm__ volatile("pushfq; andq $~0x200000, (%%rsp); popfq" : : : "memory", "cc");
  g[REG_EFL] = (greg_t)((c->rflags & RFLAGS_LOADED) | 0x202);
  memset(fx, 0, 24);
  memset(fx + 32, 0, 128);
  fx[0] = 0x7f; // FCW = 0x37F
  fx[1] = 0x03;
  if (c->has_fx) {
    memcpy(fx, p, 24);
    memcpy(fx + 32, p + 32, 128);
    p += 512;
  }
  memcpy(fx + 24, &c->mxcsr, 4);
  memcpy(fx + 160, c->xmm, 256);
  // XSTATE_BV: the x87 and SSE components come from the image, not from their initial configuration.
  *(uint64_t *)(fx + 512) |= 3;

  for (uint32_t i = 0; i < c->runs; i++) {
    const struct run *run = (const struct run *)p;
    int a = run->address >= STACK;
    size_t offset = run->address - (uintptr_t)areas[a].base;
    if (offset + run->length > 2 * PAGE) _exit(3);
    memcpy(areas[a].base + offset, run->bytes, run->length);
    memcpy(areas[a].before + offset, run->bytes, run->length);
    p += sizeof *run + padded(run->length);
  }
}

static void on_signal(int signal, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)info;
  if (signal == SIGUSR1) {
    before_all = *uc;
    memcpy(fx_before_all, uc->uc_mcontext.fpregs, 416);
  } else if (signal == SIGVTALRM) {
    if (++ticks < patience) return;
    record(uc, 1);
  } else {
    record(uc, 0);
  }
  ticks = 0;
  if (signal != SIGUSR1) input += current->size;
  if (input == input_end) {
    memcpy(uc->uc_mcontext.gregs, before_all.uc_mcontext.gregs, sizeof before_all.uc_mcontext.gregs);
    memcpy(uc->uc_mcontext.fpregs, fx_before_all, 416);
    return;
  }
  current = (const struct test_case *)input;
  load(uc);
}

static void *map(uintptr_t address, size_t length, int protection, int flags, int fd) {
  void *p = mmap((void *)address, length, protection, flags, fd, 0);
  if (p == MAP_FAILED) die("mmap");
  if (address != 0 && p != (void *)address) die("mmap: address taken");
  return p;
}

static uint8_t pattern_byte(uint32_t address) { return (uint8_t)((address * 0x9e3779b1u) >> 24); }

static void fill(uint8_t *p, uint32_t address, size_t length) {
  for (size_t i = 0; i < length; i++) p[i] = pattern_byte(address + (uint32_t)i);
}

static void set_up_memory(void) {
  const int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  int fd = memfd_create("code", 0);
  if (fd < 0 || ftruncate(fd, PAGE) != 0) die("memfd");
  code_alias = map(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  memset(code_alias, 0xcc, PAGE);
  map(CODE, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, fd);
  map(RODATA, 3 * PAGE, PROT_READ | PROT_WRITE, fixed, -1);
  fill((uint8_t *)RODATA, RODATA, PAGE);
  if (mprotect((void *)RODATA, PAGE, PROT_READ) != 0) die("mprotect");
  map(STACK, 2 * PAGE, PROT_READ | PROT_WRITE, fixed, -1);
  for (int a = 0; a < 2; a++) {
    fill(areas[a].pattern, (uint32_t)(uintptr_t)areas[a].base, 2 * PAGE);
    memcpy(areas[a].base, areas[a].pattern, 2 * PAGE);
    memcpy(areas[a].before, areas[a].pattern, 2 * PAGE);
  }
}

static void set_up_signals(void) {
  static uint8_t signal_stack[1 << 16] __attribute__((aligned(64)));
  static const int signals[] = {SIGUSR1, SIGVTALRM, SIGTRAP, SIGSEGV, SIGFPE, SIGILL, SIGBUS};
  stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
  if (sigaltstack(&stack, NULL) != 0) die("sigaltstack");
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    if (sigaction(signals[i], &action, NULL) != 0) die("sigaction");
}

// Prints the median time of a few locked additions across a cache line, in nanoseconds.
static int measure_split_lock(void) {
  enum { RUNS = 5 };
  static uint8_t line[128] __attribute__((aligned(64)));
  long times[RUNS];
  for (int i = 0; i < RUNS; i++) {
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    __asm__ volatile("lock addl $1, %0" : "+m"(*(uint32_t *)(line + 62)) : : "cc");
    clock_gettime(CLOCK_MONOTONIC, &to);
    long time = (to.tv_sec - from.tv_sec) * 1000000000 + (to.tv_nsec - from.tv_nsec);
    int at = i;
    for (; at > 0 && times[at - 1] > time; at--) times[at] = times[at - 1];
    times[at] = time;
  }
  printf("%ld\n", times[RUNS / 2]);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 1) return measure_split_lock();
  if (argc == 4) patience = atoi(argv[3]);
  else if (argc != 3) return 2;
  int fd = open(argv[1], O_RDONLY);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) die(argv[1]);
  output_fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (output_fd < 0) die(argv[2]);
  if (st.st_size == 0) return 0;
  input = map(0, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd);
  input_end = input + st.st_size;
  set_up_memory();
  set_up_signals();
  struct itimerval tick = {{0, TICK_US}, {0, TICK_US}};
  if (setitimer(ITIMER_VIRTUAL, &tick, NULL) != 0) die("setitimer");
  raise(SIGUSR1); // runs all cases
  struct itimerval off = {{0, 0}, {0, 0}};
  setitimer(ITIMER_VIRTUAL, &off, NULL);
  flush_output();
  return 0;
}
