/* Atomics of all widths between threads: totals, cmpxchg16b, misaligned and page-crossing locked operations, orders (Dekker, message passing). */
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { THREADS = 4, ROUNDS = 20000 };
static _Atomic uint8_t a8;
static _Atomic uint16_t a16;
static _Atomic uint32_t a32, ors, xors, ands = 0xffffffff;
static _Atomic uint64_t a64, casses, exchanged;
static __attribute__((aligned(16))) uint64_t wide[2];
static char *area;
static uint32_t *split_line;
static uint64_t *split_page;

static void add16(uint64_t low, uint64_t high) {
  uint64_t old_low = wide[0], old_high = wide[1];
  unsigned char done;
  do {
    __asm__ volatile("lock cmpxchg16b %1; sete %0"
                     : "=q"(done), "+m"(*(char(*)[16])wide), "+a"(old_low), "+d"(old_high)
                     : "b"(old_low + low), "c"(old_high + high) : "memory", "cc");
  } while (!done);
}

static void *work(void *argument) {
  int id = (int)(intptr_t)argument;
  uint64_t carried = (uint64_t)id + 1;
  for (int i = 0; i < ROUNDS; i++) {
    atomic_fetch_add(&a8, 1);
    atomic_fetch_add(&a16, 3);
    atomic_fetch_sub(&a32, 5);
    atomic_fetch_add(&a64, 0x100000001ull);
    atomic_fetch_or(&ors, 1u << (id * 8 + i % 8));
    atomic_fetch_and(&ands, ~(1u << (id * 8 + i % 8)));
    atomic_fetch_xor(&xors, (uint32_t)i * 2654435761u);
    for (uint64_t old = atomic_load(&casses); !atomic_compare_exchange_weak(&casses, &old, old * 3 + 1 - old * 2);) continue;
    carried = atomic_exchange(&exchanged, carried);
    add16(1, 2);
    /* Not often: hosts that detect split locks delay each by up to milliseconds. */
    if (i % 64 == 0) __asm__ volatile("lock addl $1, %0" : "+m"(*split_line) : : "memory", "cc");
    if (i % 512 == 0) {
      __asm__ volatile("lock incq %0" : "+m"(*split_page) : : "memory", "cc");
      uint64_t one = 1;
      __asm__ volatile("lock xaddq %0, %1" : "+r"(one), "+m"(*split_page) : : "memory", "cc");
    }
    uint32_t bit = (uint32_t)i % 64;
    __asm__ volatile("lock btsl %1, %0" : "+m"(*(char(*)[8])(area + 64)) : "r"(bit) : "memory", "cc");
  }
  return (void *)(uintptr_t)carried;
}

/* Dekker's start: with a fence between, not both may read 0. */
static _Atomic int x, y, r1, r2, turn;
static _Atomic uint32_t data, flag;
static int both_zero, stale;
static pthread_barrier_t barrier;
static void *dekker(void *argument) {
  int id = (int)(intptr_t)argument;
  for (int i = 0; i < 300; i++) {
    pthread_barrier_wait(&barrier);
    if (id) atomic_store(&x, 1), r1 = atomic_load(&y);
    else atomic_store(&y, 1), r2 = atomic_load(&x);
    pthread_barrier_wait(&barrier);
    if (id) {
      both_zero += r1 == 0 && r2 == 0;
      x = y = 0;
    }
  }
  for (uint32_t i = 1; i <= 20000; i++) {
    if (id) {
      atomic_store_explicit(&data, i, memory_order_relaxed);
      atomic_store_explicit(&flag, i, memory_order_release);
    } else {
      uint32_t seen = atomic_load_explicit(&flag, memory_order_acquire);
      if (atomic_load_explicit(&data, memory_order_relaxed) < seen) stale++;
    }
  }
  return 0;
}

int main(void) {
  area = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  split_line = (uint32_t *)(area + 62 + 128);
  split_page = (uint64_t *)(area + 4096 - 3);
  pthread_t threads[THREADS];
  uint64_t carried = 0;
  for (intptr_t i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, work, (void *)i);
  for (int i = 0; i < THREADS; i++) {
    void *value;
    pthread_join(threads[i], &value);
    carried += (uint64_t)(uintptr_t)value;
  }
  printf("8: %u 16: %u 32: %u 64: %016llx\n", a8, a16, a32, (unsigned long long)a64);
  printf("or %08x and %08x xor %08x\n", ors, ands, xors);
  printf("cas %llu exchanged %llu wide %llu %llu\n", (unsigned long long)casses, (unsigned long long)(carried + exchanged), (unsigned long long)wide[0], (unsigned long long)wide[1]);
  printf("split line %u split page %llu bits %016llx\n", *split_line, (unsigned long long)*split_page, *(unsigned long long *)(area + 64));
  pthread_barrier_init(&barrier, 0, 2);
  for (intptr_t i = 0; i < 2; i++) pthread_create(&threads[i], 0, dekker, (void *)i);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
  printf("both zero %d stale %d\n", both_zero, stale);
  /* Every offset in a cache line, every width, against the plain operation. */
  int wrong = 0;
  for (int offset = 0; offset < 72; offset++) {
    uint64_t before = 0x1122334455667788ull + (uint64_t)offset, after, old = 5;
    memcpy(area + 256 + offset, &before, 8);
    __asm__ volatile("lock xaddq %0, (%1)" : "+r"(old) : "r"(area + 256 + offset) : "memory", "cc");
    memcpy(&after, area + 256 + offset, 8);
    wrong += old != before || after != before + 5;
    uint16_t w = 0x1234, swapped = 0xabcd;
    memcpy(area + 512 + offset, &w, 2);
    __asm__ volatile("xchgw %0, (%1)" : "+r"(swapped) : "r"(area + 512 + offset) : "memory");
    wrong += swapped != 0x1234;
    memcpy(&w, area + 512 + offset, 2);
    wrong += w != 0xabcd;
    uint32_t expected = 77, put = 99;
    memcpy(area + 768 + offset, &expected, 4);
    unsigned char equal;
    __asm__ volatile("lock cmpxchgl %3, (%2); sete %0" : "=q"(equal), "+a"(expected) : "r"(area + 768 + offset), "r"(put) : "memory", "cc");
    wrong += !equal;
    __asm__ volatile("lock cmpxchgl %3, (%2); sete %0" : "=q"(equal), "+a"(expected) : "r"(area + 768 + offset), "r"(put + 1) : "memory", "cc");
    wrong += equal || expected != 99;
  }
  printf("offsets wrong %d\n", wrong);
  return 0;
}
