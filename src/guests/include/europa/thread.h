/* Threads on raw clone. FS base points at the thread's own struct thread. */
#ifndef EUROPA_THREAD_H
#define EUROPA_THREAD_H

#include "types.h"

struct guard;
struct pkey_area;

struct thread {
  struct thread *self;
  u32 tid; /* set by CLONE_PARENT_SETTID, cleared by the kernel at exit (CLONE_CHILD_CLEARTID) */
  u32 number; /* tid, still there after the thread has ended; written by the creator once thread_start returns */
  long (*function)(void *);
  void *argument;
  long result;
  void *mapping; /* stack and this struct; NULL for the main thread */
  struct guard *guard; /* innermost active guard of fault.h */
  struct pkey_area *area; /* registered by vdso_register, or NULL */
};

enum { THREAD_STACK_BYTES = 65536 };

static inline struct thread *thread_self(void) {
  struct thread *self;
  asm("mov %%fs:0, %0" : "=r"(self));
  return self;
}

/* Starts function(argument) in a new thread; ends the program when that is impossible. */
struct thread *thread_start(long (*function)(void *), void *argument);

/* Waits until the thread has ended and frees it; answers what its function answered. */
long thread_join(struct thread *thread);

#endif
