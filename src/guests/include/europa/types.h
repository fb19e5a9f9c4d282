/* Integer types and the few macros everything uses. */
#ifndef EUROPA_TYPES_H
#define EUROPA_TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

#define PAGE_SIZE 4096ul
#define CACHE_LINE 64
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define NOINLINE __attribute__((noinline))
#define ALIGNED(n) __attribute__((aligned(n)))

/* Accesses that the compiler neither merges nor moves: one plain MOV each. */
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#define atomic_load(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define atomic_store(p, v) __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define atomic_add(p, v) __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define atomic_sub(p, v) __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST)
#define atomic_or(p, v) __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST)
#define atomic_exchange(p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)

/* LOCK CMPXCHG; true when *p was `expected` and is now `desired`. */
#define atomic_compare_exchange(p, expected, desired)                                                          \
  ({                                                                                                           \
    __typeof__(*(p)) expected_ = (expected);                                                                   \
    __atomic_compare_exchange_n(p, &expected_, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);            \
  })

static inline void cpu_pause(void) { __builtin_ia32_pause(); }
static inline void full_fence(void) { asm volatile("mfence" ::: "memory"); }
static inline void compiler_fence(void) { asm volatile("" ::: "memory"); }

#endif
