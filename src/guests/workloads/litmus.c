/*
 * Litmus tests of x86-TSO (Sewell et al., "x86-TSO", CACM 2010): which outcomes does the memory model show?
 *
 *   litmus TEST VARIANT [ITERATIONS=1]
 *
 * TEST (x and y start as 0; threads side by side; the outcome that sequential consistency excludes in brackets):
 *   SB     x=1; r0=y    | y=1; r1=x                        [r0=0 r1=0]
 *   MP     x=1; y=1     | r0=y; r1=x                       [r0=1 r1=0]
 *   LB     r0=x; y=1    | r1=y; x=1                        [r0=1 r1=1]
 *   R      x=1; y=1     | y=2; r0=x                        [y=2 r0=0]
 *   S      x=2; y=1     | r0=y; x=1                        [x=2 r0=1]
 *   2+2W   x=1; y=2     | y=1; x=2                         [x=1 y=1]
 *   IRIW   x=1 | y=1    | r0=x; r1=y | r2=y; r3=x          [r0=1 r1=0 r2=1 r3=0]
 * VARIANT:
 *   plain  MOV only                       mfence  MFENCE between the two accesses of each thread
 *   half   MFENCE in the first thread     lock    LOCK OR of the stack between the two accesses
 *   xchg   every store is an XCHG
 * x86-TSO allows the bracketed outcome for SB and R, plain and half, and nowhere else.
 *
 * With one iteration each thread runs its two accesses and nothing else: for seeded schedules. With more, the threads keep
 * roughly in step on variables of their own for each iteration.
 *
 * One record an outcome seen: `E test= variant= outcome=r0:0,r1:0 count= weak=0|1 allowed=0|1`; exit status EXIT_FAILED when a
 * forbidden one was seen.
 */
#include "europa.h"

enum variant { PLAIN, HALF, XCHG, MFENCE, LOCK, VARIANTS };
enum { MAX_THREADS = 4, SLOTS = 1024, SPINS = 64 };
static const char *const variant_names[VARIANTS] = {"plain", "half", "xchg", "mfence", "lock"};

struct slot {
  u32 x ALIGNED(CACHE_LINE);
  u32 y ALIGNED(CACHE_LINE);
};
static struct slot slots[SLOTS];
static u32 registers[SLOTS][MAX_THREADS];
static struct {
  u32 slot ALIGNED(CACHE_LINE);
} progress[MAX_THREADS];
static u32 thread_count;

#define INLINE static inline __attribute__((always_inline))

INLINE void store(u32 *where, u32 value, enum variant variant) {
  if (variant == XCHG)
    asm volatile("xchg %0, %1" : "+r"(value), "+m"(*where)::"memory");
  else
    asm volatile("mov %1, %0" : "=m"(*where) : "r"(value) : "memory");
}

INLINE u32 load(u32 *where) {
  u32 value;
  asm volatile("mov %1, %0" : "=r"(value) : "m"(*where) : "memory");
  return value;
}

INLINE void between(enum variant variant, u32 thread) {
  if (variant == MFENCE || (variant == HALF && thread == 0)) asm volatile("mfence" ::: "memory");
  if (variant == LOCK) asm volatile("lock orl $0, (%%rsp)" ::: "memory", "cc");
}

/* Waits a little for the others to come to the same slot; never for long, they may not be running. */
INLINE void keep_step(u32 thread, u32 slot) {
  atomic_store(&progress[thread].slot, slot);
  for (u32 other = 0; other < thread_count; other++)
    for (u32 spin = 0; spin < SPINS && READ_ONCE(progress[other].slot) < slot; spin++) cpu_pause();
}

/* A loop over `count` slots for one thread of one test in one variant, for each of which the statement is compiled anew. */
#define THREAD(test, thread, statement)                                                                        \
  INLINE void test##_##thread##_body(u32 *const x, u32 *const y, u32 *const r, const enum variant v) {         \
    (void)x, (void)y, (void)r;                                                                                 \
    const u32 me = thread;                                                                                     \
    (void)me;                                                                                                  \
    statement                                                                                                  \
  }                                                                                                            \
  INLINE void test##_##thread##_loop(u32 count, const enum variant v) {                                        \
    for (u32 i = 0; i < count; i++) {                                                                          \
      if (count > 1) keep_step(thread, i);                                                                     \
      test##_##thread##_body(&slots[i].x, &slots[i].y, registers[i], v);                                       \
    }                                                                                                          \
  }                                                                                                            \
  static void test##_##thread##_plain(u32 count) { test##_##thread##_loop(count, PLAIN); }                     \
  static void test##_##thread##_half(u32 count) { test##_##thread##_loop(count, HALF); }                       \
  static void test##_##thread##_xchg(u32 count) { test##_##thread##_loop(count, XCHG); }                       \
  static void test##_##thread##_mfence(u32 count) { test##_##thread##_loop(count, MFENCE); }                   \
  static void test##_##thread##_lock(u32 count) { test##_##thread##_loop(count, LOCK); }

#define W(where, value) store(where, value, v);
#define R(number, where) r[number] = load(where);
#define F between(v, me);

THREAD(SB, 0, W(x, 1) F R(0, y))
THREAD(SB, 1, W(y, 1) F R(1, x))
THREAD(MP, 0, W(x, 1) F W(y, 1))
THREAD(MP, 1, R(0, y) F R(1, x))
THREAD(LB, 0, R(0, x) F W(y, 1))
THREAD(LB, 1, R(1, y) F W(x, 1))
THREAD(R, 0, W(x, 1) F W(y, 1))
THREAD(R, 1, W(y, 2) F R(0, x))
THREAD(S, 0, W(x, 2) F W(y, 1))
THREAD(S, 1, R(0, y) F W(x, 1))
THREAD(WW, 0, W(x, 1) F W(y, 2))
THREAD(WW, 1, W(y, 1) F W(x, 2))
THREAD(IRIW, 0, W(x, 1))
THREAD(IRIW, 1, W(y, 1))
THREAD(IRIW, 2, R(0, x) F R(1, y))
THREAD(IRIW, 3, R(2, y) F R(3, x))

typedef void (*body)(u32 count);
#define BODIES(test, thread)                                                                                   \
  {test##_##thread##_plain, test##_##thread##_half, test##_##thread##_xchg, test##_##thread##_mfence,          \
   test##_##thread##_lock}

/* What makes up an outcome: registers and final values, in the order of `weak`, the outcome that SC excludes. */
enum value { R0, R1, R2, R3, X, Y };
static const char *const value_names[] = {"r0", "r1", "r2", "r3", "x", "y"};

struct test {
  const char *name;
  u32 threads, value_count;
  enum value values[4];
  u32 weak[4];
  bool weak_allowed; /* plain and half */
  body bodies[MAX_THREADS][VARIANTS];
};

static const struct test tests[] = {
    {"SB", 2, 2, {R0, R1}, {0, 0}, true, {BODIES(SB, 0), BODIES(SB, 1)}},
    {"MP", 2, 2, {R0, R1}, {1, 0}, false, {BODIES(MP, 0), BODIES(MP, 1)}},
    {"LB", 2, 2, {R0, R1}, {1, 1}, false, {BODIES(LB, 0), BODIES(LB, 1)}},
    {"R", 2, 2, {Y, R0}, {2, 0}, true, {BODIES(R, 0), BODIES(R, 1)}},
    {"S", 2, 2, {X, R0}, {2, 1}, false, {BODIES(S, 0), BODIES(S, 1)}},
    {"2+2W", 2, 2, {X, Y}, {1, 1}, false, {BODIES(WW, 0), BODIES(WW, 1)}},
    {"IRIW",
     4,
     4,
     {R0, R1, R2, R3},
     {1, 0, 1, 0},
     false,
     {BODIES(IRIW, 0), BODIES(IRIW, 1), BODIES(IRIW, 2), BODIES(IRIW, 3)}},
};

static const struct test *test;
static enum variant variant;
static u64 iterations;
static u64 histogram[256]; /* outcome number: two bits a value */
static struct barrier batch_done, batch_counted;

static u32 value_in(u32 slot, enum value value) {
  if (value == X) return slots[slot].x;
  if (value == Y) return slots[slot].y;
  return registers[slot][value];
}

static void count_outcomes(u32 count) {
  for (u32 i = 0; i < count; i++) {
    u32 outcome = 0;
    for (u32 v = 0; v < test->value_count; v++) outcome |= value_in(i, test->values[v]) << (2 * v);
    histogram[outcome & 255]++;
    slots[i].x = slots[i].y = 0;
  }
}

static void run(u32 thread) {
  body body = test->bodies[thread][variant];
  for (u64 done = 0; done < iterations; done += SLOTS) {
    u32 count = iterations - done < SLOTS ? (u32)(iterations - done) : SLOTS;
    body(count);
    if (iterations == 1) return;
    barrier_wait(&batch_done);
    if (thread == 0) {
      count_outcomes(count);
      for (u32 i = 0; i < thread_count; i++) progress[i].slot = 0;
    }
    barrier_wait(&batch_counted);
  }
}

static long run_thread(void *number) {
  run((u32)(u64)number);
  return 0;
}

static int print_outcomes(void) {
  u32 weak = 0;
  for (u32 v = 0; v < test->value_count; v++) weak |= test->weak[v] << (2 * v);
  bool allowed = test->weak_allowed && (variant == PLAIN || variant == HALF);
  for (u32 outcome = 0; outcome < COUNT_OF(histogram); outcome++) {
    if (!histogram[outcome]) continue;
    char text[64];
    size_t length = 0;
    for (u32 v = 0; v < test->value_count; v++)
      length += format(text + length, sizeof text - length, "%s%s:%u", v ? "," : "", value_names[test->values[v]],
                       outcome >> (2 * v) & 3);
    report("test=%s variant=%s outcome=%s count=%lu weak=%d allowed=%d", test->name, variant_names[variant], text,
           histogram[outcome], outcome == weak, outcome != weak || allowed);
  }
  return histogram[weak] && !allowed ? EXIT_FAILED : EXIT_HELD;
}

int main(int argc, char **argv) {
  u32 v = VARIANTS;
  for (u32 i = 0; argc >= 3 && i < COUNT_OF(tests); i++)
    if (same(argv[1], tests[i].name)) test = &tests[i];
  for (u32 i = 0; argc >= 3 && i < VARIANTS; i++)
    if (same(argv[2], variant_names[i])) v = i;
  if (!test || v == VARIANTS) {
    report("error=usage detail=litmus-TEST-VARIANT-ITERATIONS tests=SB,MP,LB,R,S,2+2W,IRIW variants=plain,half,xchg,mfence,lock");
    return EXIT_USAGE;
  }
  variant = v;
  iterations = argument(argc, argv, 3, 1);
  thread_count = batch_done.parties = batch_counted.parties = test->threads;
  struct thread *threads[MAX_THREADS];
  for (u64 i = 1; i < thread_count; i++) threads[i] = thread_start(run_thread, (void *)i);
  run(0);
  for (u32 i = 1; i < thread_count; i++) thread_join(threads[i]);
  if (iterations == 1) count_outcomes(1);
  return print_outcomes();
}
