#include "europa.h"

enum {
  CLONE_VM = 0x100,
  CLONE_FS = 0x200,
  CLONE_FILES = 0x400,
  CLONE_SIGHAND = 0x800,
  CLONE_THREAD = 0x10000,
  CLONE_SYSVSEM = 0x40000,
  CLONE_SETTLS = 0x80000,
  CLONE_PARENT_SETTID = 0x100000,
  CLONE_CHILD_CLEARTID = 0x200000
};

/* The child starts on an empty stack and finds itself by FS base. */
asm(".pushsection .text.thread_clone,\"ax\",@progbits\n"
    ".type thread_clone,@function\n"
    "thread_clone:\n" /* (flags, stack, parent tid, child tid, tls) */
    "  mov %rcx, %r10\n"
    "  mov $56, %eax\n"
    "  syscall\n"
    "  test %eax, %eax\n"
    "  jz 1f\n"
    "  ret\n"
    "1: xor %ebp, %ebp\n"
    "  call thread_main\n"
    "  ud2\n"
    ".size thread_clone, .-thread_clone\n"
    ".popsection\n");

long thread_clone(u64 flags, void *stack, u32 *parent_tid, u32 *child_tid, void *tls);

__attribute__((noreturn, used)) void thread_main(void) {
  struct thread *self = thread_self();
  self->result = self->function(self->argument);
  for (;;) syscall1(SYS_exit, 0);
}

struct thread *thread_start(long (*function)(void *), void *argument) {
  u8 *mapping = map_pages(THREAD_STACK_BYTES / PAGE_SIZE);
  struct thread *thread = (struct thread *)(mapping + THREAD_STACK_BYTES - 2 * CACHE_LINE);
  _Static_assert(sizeof(struct thread) <= 2 * CACHE_LINE, "struct thread");
  thread->self = thread;
  thread->function = function;
  thread->argument = argument;
  thread->mapping = mapping;
  long tid = thread_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                              CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
                          thread, &thread->tid, &thread->tid, thread);
  if (is_error(tid)) die("clone", tid);
  thread->number = (u32)tid;
  return thread;
}

long thread_join(struct thread *thread) {
  u32 tid;
  /* The kernel wakes the cleared word as a shared futex: mm_release in kernel/fork.c. */
  while ((tid = atomic_load(&thread->tid)) != 0) syscall4(SYS_futex, (long)&thread->tid, FUTEX_WAIT, tid, 0);
  long result = thread->result;
  sys_munmap(thread->mapping, THREAD_STACK_BYTES);
  return result;
}
