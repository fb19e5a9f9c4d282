/*
 * Random bytes as code. random-code SEED FIRST LAST step|run|wild [log]
 *
 * A case begins by returning from a signal handler to registers, floating-point state and code of its own, and ends by the next
 * signal: `step` runs one instruction of it, by the trap flag, `run` all of it, both without system calls (natively, seccomp sees
 * to that). A line for each case tells the signal and all registers, so a native run can be compared with one in Europa. `wild`
 * is for Europa alone: system calls, signal frames with damaged floating-point state, and two threads that share the code.
 * With `log` each case is announced before it runs.
 */
#include "calls.h"

#define CODE 0x10000000UL /* two pages; nothing follows */
#define DATA 0x20000000UL /* two pages between unmapped ones, then one that is read only */
#define STACK 0x30000000UL
#define PAGES 2
#define INSIDE (PAGES * PAGE)

enum { R8, R9, R10, R11, R12, R13, R14, R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP, RIP, EFL, CSGSFS, ERR, TRAPNO, OLDMASK, CR2, FPSTATE, REGS };
struct context {
  u64 flags, link, stack[3], regs[REGS], reserved[8], mask;
};
enum { CF_TO_OF = 0xcd5, TF = 0x100, NT = 0x4000, RF = 0x10000, AC = 0x40000, ID = 0x200000 };

static u64 seed, first, last, number, random;
static int mode, logging, ticks, running, native;
static u8 code[32];
static u32 length;
static u64 saved[REGS];

static u64 next(void) {
  u64 x = random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  random = x;
  return x * 0x2545f4914f6cdd1dUL >> 8;
}
static u64 below(u64 n) { return next() % n; }
#define PICK(list) (list)[below(sizeof(list) / sizeof *(list))]

static char out[1 << 16];
static u32 used;
static void flush(void) {
  for (u32 done = 0; done < used;) {
    long n = sys(1, 1, out + done, used - done, 0);
    if (n <= 0) break;
    done += n;
  }
  used = 0;
}
static void text(const char *s) {
  while (*s) out[used++] = *s++;
}
static void hex(u64 value, int digits) {
  if (!digits)
    for (digits = 1; digits < 16 && value >> digits * 4; digits++) ;
  while (digits--) out[used++] = "0123456789abcdef"[value >> digits * 4 & 15];
}

static u64 value(void) {
  static const u64 edges[] = {
      0, 1, 2, 8, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffff, 0x800000000000,
      0x7fffffffffffffff, 0x8000000000000000, -1UL, -2UL, -8UL, 0x7ffffffff000, 0xffff800000000000, 0xffffffffff600000, 0x2b, 0x33, 0x23, 3,
  };
  switch (below(8)) {
  case 0: return PICK(edges);
  case 1: return next() << 8 ^ next();
  case 2: return below(256);
  case 3: return DATA + INSIDE - 1 - below(32);
  case 4: return DATA + below(INSIDE);
  default: return DATA + 512 + (below(INSIDE - 1024) & -16UL);
  }
}

/* What makes trouble: with system registers, flags, segments, stacks, floating-point state, serialisation. */
static const char *const special[] = {
    "\xcf", "\x48\xcf", "\x66\xcf", "\xca", "\xcb", "\x48\xcb", "\x9d", "\x66\x9d", "\x9c", "\xf4", "\xfa", "\xfb", "\xe4", "\xe6", "\xec", "\xee", "\x6c", "\x6e",
    "\x0f\x30", "\x0f\x32", "\x0f\x33", "\x0f\x31", "\x0f\x01", "\x0f\x00", "\x0f\x20", "\x0f\x21", "\x0f\x22", "\x0f\x23", "\x0f\x06", "\x0f\x08", "\x0f\x09",
    "\x0f\x0b", "\x0f\xb9", "\x0f\xff", "\x0f\xa1", "\x0f\xa9", "\x0f\xa0", "\x0f\xa8", "\x8e", "\x8c", "\x0f\xb2", "\x0f\xb4", "\x0f\xb5", "\xff", "\xfe", "\xc8", "\xc9",
    "\x0f\xae", "\x48\x0f\xae", "\x0f\xc7", "\x48\x0f\xc7", "\xf3\x0f\xae", "\x66\x0f\xae", "\xf2\x0f\xae", "\x0f\x0d", "\x0f\x18", "\x0f\x1e", "\xf3\x0f\x1e", "\x0f\x1f",
    "\x8f", "\x62", "\xc4", "\xc5", "\xd5", "\xd6", "\xf1", "\xcc", "\xce", "\xd4", "\x27", "\x60", "\x61", "\x9a", "\xea", "\xc2", "\xc3", "\xe8", "\xe9", "\xeb", "\x9b", "\xdb\xe2",
    "\xa0", "\xa1", "\xa2", "\xa3", "\xf0", "\xf2\x0f\x38\xf0", "\x0f\x38\xf1", "\x0f\xa2", "\x0f\x05", "\x0f\x34", "\xcd", "\x0f\x35", "\x0f\x07", "\x0f\x38", "\x0f\x3a",
    "\xf3\xa4", "\xf2\xae", "\xf3\xa6", "\xd9", "\xdb", "\xdd", "\xdf", "\x9e", "\x9f", "\xd7", "\xe3", "\x67\xe3", "\xe2", "\x66\xe8", "\x66\xe9", "\x66\xc3", "\xf3\x90", "\x63",
    "\x0f\x01\xd0", "\x0f\x01\xef", "\x0f\x01\xee", "\x0f\x01\xf8", "\x0f\x01\xf9", "\x0f\x01\xca", "\x0f\x01\xd5", "\x0f\x01\xd6", "\xc6\xf8", "\xc7\xf8", "\x0f\xc6", "\x0f\xc2",
};
static const u8 prefixes[] = {0x66, 0x66, 0xf2, 0xf3, 0xf0, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x40, 0x48, 0x49, 0x4f, 0x44, 0x41};

static void makeCode(void) {
  u32 n = 0;
  length = below(12) ? 15 + below(4) : 1 + below(20);
  for (u32 i = 0; i < sizeof code; i++) code[i] = next();
  if (below(3) == 0)
    for (u32 count = below(4) ? 1 + below(3) : below(16); count--;) code[n++] = PICK(prefixes);
  switch (below(6)) {
  case 0: code[n++] = 0x0f; break;
  case 1: code[n++] = 0x0f, code[n++] = below(2) ? 0x38 : 0x3a; break;
  case 2: code[n++] = 0xd8 + below(8); break;
  case 3: {
    const char *s = PICK(special);
    while (*s) code[n++] = *s++;
  }
  }
  /* Mostly operands that exist: (register) rather than an address of four random bytes. */
  if (below(3) == 0 && n < 30) code[n + 1] &= 0x3f;
  if (mode == 2) return;
  for (u32 i = 0; i + 1 < sizeof code; i++) {
    if (code[i] == 0x0f && (code[i + 1] == 0x05 || code[i + 1] == 0x34)) code[i + 1] = 0x0b;
    if (code[i] == 0xcd) code[i] = 0xcc;
  }
}

static void fill(u64 address, u64 bytes, u64 salt) {
  u64 *word = (u64 *)address;
  for (u64 i = 0; i < bytes / 8; i++) word[i] = (i * 0x9e3779b97f4a7c15UL ^ salt) * (i % 3 ? 1 : 0x10001);
}
static u64 hash(u64 address, u64 bytes) {
  u64 h = 0;
  for (u64 i = 0; i < bytes / 8; i++) h = (h ^ ((u64 *)address)[i]) * 0x100000001b3UL + (h >> 29);
  return h;
}

static void begin(struct context *c) {
  random = (seed * 0x10001 + number + 1) * 0x9e3779b97f4a7c15UL;
  next();
  makeCode();
  if (logging) {
    flush();
    hex(number, 0);
    text(" ");
    for (u32 i = 0; i < length; i++) hex(code[i], 2);
    text("\n");
    flush();
  }
  fill(DATA, INSIDE, seed);
  fill(STACK, INSIDE, ~seed);
  for (u64 *p = (u64 *)CODE; p < (u64 *)(CODE + INSIDE); p++) *p = 0xccccccccccccccccUL;
  u64 at = CODE + 64;
  switch (below(6)) {
  case 0: at = CODE + INSIDE - length; break;
  case 1: at = CODE + PAGE - below(length + 1); break;
  }
  for (u32 i = 0; i < length; i++) ((u8 *)at)[i] = code[i];
  u64 *r = c->regs;
  for (int i = R8; i <= RCX; i++) r[i] = value();
  r[RSP] = below(16) ? STACK + 2048 + (below(4096) & (below(8) ? -8UL : -1UL)) : value();
  r[RIP] = mode == 2 && below(40) == 0 ? value() : at;
  r[EFL] = 0x202 | (next() & CF_TO_OF) | (mode == 0 ? TF : below(30) ? 0 : TF);
  if (below(4)) r[EFL] &= ~0x400;
  if (below(16) == 0) r[EFL] |= AC;
  if (below(32) == 0) r[EFL] |= NT;
  if (below(32) == 0) r[EFL] |= ID;
  if (below(32) == 0) r[EFL] |= RF;
  r[CSGSFS] = 0x33 | 0x2bUL << 48;
  for (int i = 0; i < REGS; i++) saved[i] = r[i];
  u8 *fx = (u8 *)r[FPSTATE];
  u32 size = mode == 2 && below(8) == 0 ? *(u32 *)(fx + 464 + 16) : 0;
  for (int i = 0; i < 416; i++) fx[i] = next();
  if (below(3) == 0)
    for (int i = 32; i < 160; i++) fx[i] = 0;
  *(u16 *)fx = below(3) ? 0x37f : (next() & 0x1f3f) | 0x40;
  *(u16 *)(fx + 2) &= below(3) ? 0x7800 : 0xffff;
  *(u16 *)(fx + 4) = below(3) ? 0xff : next() & 0xff;
  *(u32 *)(fx + 24) = below(3) ? 0x1f80 : next() & 0xffff;
  *(u64 *)(fx + 8) = *(u64 *)(fx + 16) = *(u16 *)(fx + 6) = 0;
  for (int i = 0; i < 8; i++) *(u32 *)(fx + 32 + i * 16 + 12) = *(u16 *)(fx + 32 + i * 16 + 10) = 0;
  if (size && size < 4096) {
    /* The header of XSAVE, the kernel's words about it, the pointer itself. */
    u64 n = below(6);
    if (n == 0) *(u32 *)(fx + 24) = next();
    if (n == 1) fx[512 + below(64)] ^= 1 << below(8);
    if (n == 2) fx[464 + below(48)] ^= 1 << below(8);
    if (n == 3) fx[512 + below(size - 512)] = next();
    if (n == 4) r[FPSTATE] = below(2) ? value() : r[FPSTATE] + 64;
    if (n == 5) r[CSGSFS] = next();
  } else
    *(u64 *)(fx + 512) |= 3; /* x87 and SSE are not in their initial state */
  c->mask = 0;
  ticks = 0;
  running = 1;
}

static void finish(int signal, int *info, struct context *c) {
  u64 *r = c->regs;
  hex(number, 0);
  text(" ");
  for (u32 i = 0; i < length; i++) hex(code[i], 2);
  text(" s");
  hex(signal, 0);
  if (signal != 14) {
    text(" c");
    hex((u32)info[2], 0);
    text(" a");
    hex(*(u64 *)(info + 4), 0);
    text(" t");
    hex(r[TRAPNO], 0);
    text(" e");
    hex(r[ERR], 0);
    text(" ");
    for (int i = R8; i <= EFL; i++) {
      hex(r[i], 0);
      text(",");
    }
    hex(r[CSGSFS], 16);
    text(",");
    u8 *fx = (u8 *)r[FPSTATE];
    hex(*(u32 *)fx, 0);
    text(",");
    hex(fx[4], 0);
    text(",");
    hex(*(u32 *)(fx + 24), 0);
    text(",");
    for (int i = 0; i < 8; i++) {
      hex(*(u16 *)(fx + 40 + i * 16), 4);
      hex(*(u64 *)(fx + 32 + i * 16), 16);
      text(":");
    }
    text(",");
    for (int i = 0; i < 16; i++) {
      hex(*(u64 *)(fx + 168 + i * 16), 16);
      hex(*(u64 *)(fx + 160 + i * 16), 16);
      text(":");
    }
    text(",");
    hex(hash(DATA, INSIDE), 16);
    text(",");
    hex(hash(STACK, INSIDE), 16);
    text(" <");
    for (int i = R8; i <= EFL; i++) {
      hex(saved[i], 0);
      text(",");
    }
  }
  text("\n");
  if (used > sizeof out / 2) flush();
}

static void handler(int signal, int *info, struct context *c) {
  if (signal == 14) {
    /* Only in the middle of a case that goes on for ever. */
    if (!running || ++ticks < 3) return;
  }
  if (running && mode != 2) finish(signal, info, c);
  running = 0;
  if (native) __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(0));
  sys(158, 0x1002, 0, 0, 0);
  sys(158, 0x1001, 0, 0, 0);
  if (mode == 2) { /* system calls may have changed what is mapped */
    sys6(9, CODE, INSIDE, 7, 0x32, -1, 0);
    sys6(9, DATA, INSIDE, 3, 0x32, -1, 0);
    sys6(9, STACK, INSIDE, 3, 0x32, -1, 0);
  }
  if (++number >= last) {
    text("end\n");
    flush();
    sys(231, 0, 0, 0, 0);
  }
  begin(c);
}

extern void restorer(void);
__asm__(".text\nrestorer: mov $15, %eax\nsyscall\n");
extern char __executable_start[], etext[];

/* Natively nothing but this file's own text may make a system call: others end in SIGSYS. */
static void confine(void) {
  struct {
    u16 code;
    u8 yes, no;
    u32 k;
  } filter[] = {
      {0x20, 0, 0, 12}, /* the instruction pointer, high half */
      {0x15, 0, 4, 0},
      {0x20, 0, 0, 8},
      {0x35, 0, 2, (u32)(u64)__executable_start},
      {0x35, 1, 0, (u32)(u64)etext},
      {0x06, 0, 0, 0x7fff0000},
      {0x06, 0, 0, 0x00030000},
  };
  struct {
    u16 count;
    void *filter;
  } program = {7, filter};
  sys6(157, 38, 1, 0, 0, 0, 0);
  native = sys6(157, 22, 2, (long)&program, 0, 0, 0) == 0;
}

static u64 parse(const char *s) {
  u64 n = 0;
  while (*s) n = n * 10 + *s++ - '0';
  return n;
}
/* The second thread of `wild`: rewrites the code that the first one runs. */
static u8 otherStack[4096] __attribute__((aligned(16)));
static void rewrite(void) {
  for (u64 x = seed + 1;;) {
    x = x * 6364136223846793005UL + 1442695040888963407UL;
    *(volatile u8 *)(CODE + 64 + (x >> 33) % 24) = x >> 40;
    if (x >> 62 == 0) {
      u64 pause[2] = {0, 100000};
      sys(35, pause, 0, 0, 0);
    }
  }
}
static void startRewriting(void) {
  u64 all = -1UL;
  sys(14, 0, &all, 0, 8); /* signals are the first thread's */
  __asm__ volatile("syscall; test %%rax, %%rax; jnz 1f; call *%%rbx; ud2; 1:"
                   :
                   : "a"(56L), "D"(0x50f00L), "S"(otherStack + sizeof otherStack), "d"(0L), "b"(rewrite)
                   : "rcx", "r11", "memory");
  sys(14, 1, &all, 0, 8);
}
static u8 altstack[1 << 17] __attribute__((aligned(64)));

void start(long *stack) {
  char **argv = (char **)stack + 1;
  seed = parse(argv[1]);
  number = first = parse(argv[2]);
  last = parse(argv[3]);
  mode = argv[4][0] == 's' ? 0 : argv[4][0] == 'r' ? 1 : 2;
  logging = stack[0] > 5;
  sys6(9, CODE, INSIDE, 7, 0x32, -1, 0);
  sys6(9, DATA, INSIDE, 3, 0x32, -1, 0);
  sys6(9, STACK, INSIDE, 3, 0x32, -1, 0);
  u64 alt[3] = {(u64)altstack, 0, sizeof altstack};
  sys(131, alt, 0, 0, 0);
  for (int i = 1; i < 32; i++) {
    /* SA_SIGINFO, SA_ONSTACK, SA_RESTORER; nothing is blocked but what the handler itself would be interrupted by. */
    u64 act[4] = {(u64)handler, 0x04000000 | 0x08000000 | 4, (u64)restorer, 1 << 13};
    sys(13, i, act, 0, 8);
  }
  if (mode != 2) confine();
  else startRewriting();
  u64 interval[4] = {0, 200000, 0, 200000};
  sys(38, 0, interval, 0, 0);
  number--;
  __asm__ volatile("int3");
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall start\nhlt\n");
