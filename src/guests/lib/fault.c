#include "europa.h"

struct guard {
  u64 stack; /* RSP behind the callee-saved registers, for guard_resume */
  struct guard *previous;
  struct fault fault;
};

/* guard_call answers 0 when the function returned; the handler makes it answer 1 by way of guard_resume. */
asm(".pushsection .text.guard_call,\"ax\",@progbits\n"
    ".type guard_call,@function\n"
    "guard_call:\n" /* (guard, function, argument) */
    "  push %rbp\n"
    "  push %rbx\n"
    "  push %r12\n"
    "  push %r13\n"
    "  push %r14\n"
    "  push %r15\n"
    "  mov %rsp, (%rdi)\n"
    "  sub $8, %rsp\n"
    "  mov %rdx, %rdi\n"
    "  call *%rsi\n"
    "  add $8, %rsp\n"
    "  xor %eax, %eax\n"
    "  jmp 1f\n"
    "guard_resume:\n"
    "  mov $1, %eax\n"
    "1: pop %r15\n"
    "  pop %r14\n"
    "  pop %r13\n"
    "  pop %r12\n"
    "  pop %rbx\n"
    "  pop %rbp\n"
    "  ret\n"
    ".size guard_call, .-guard_call\n"
    ".popsection\n");
int guard_call(struct guard *guard, void (*function)(void *), void *argument);
void guard_resume(void);

enum { EFLAGS_TRAP = 1 << 8, EFLAGS_DIRECTION = 1 << 10 };

static void on_fault(int signal, struct siginfo *info, struct ucontext *context) {
  struct guard *guard = thread_self()->guard;
  if (!guard) {
    install_handler(signal, NULL, 0); /* the access faults again, with the default action */
    return;
  }
  guard->fault = (struct fault){
      .signal = signal,
      .code = info->code,
      .address = info->address,
      .rip = context->registers[REG_RIP],
      .key = info->code == SEGV_PKUERR && signal == SIGSEGV ? info->key : 0,
      .error = (u32)context->registers[REG_ERROR],
      .trap = (u32)context->registers[REG_TRAP],
      .pkru = frame_pkru(context),
  };
  context->registers[REG_RIP] = (u64)guard_resume;
  context->registers[REG_RSP] = guard->stack;
  context->registers[REG_EFLAGS] &= ~(u64)(EFLAGS_TRAP | EFLAGS_DIRECTION);
}

void catch_faults(void) {
  static const u8 signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
  for (size_t i = 0; i < COUNT_OF(signals); i++) {
    long result = install_handler(signals[i], on_fault, 0);
    if (is_error(result)) die("sigaction", result);
  }
}

bool guarded(void (*function)(void *), void *argument, struct fault *fault) {
  struct thread *self = thread_self();
  struct guard guard;
  guard.previous = self->guard;
  WRITE_ONCE(self->guard, &guard);
  int faulted = guard_call(&guard, function, argument);
  WRITE_ONCE(self->guard, guard.previous);
  if (faulted && fault) *fault = guard.fault;
  return !faulted;
}

struct access {
  volatile u64 *address;
  u64 value;
};

static void access_read(void *argument) {
  struct access *access = argument;
  access->value = *access->address;
}

static void access_write(void *argument) {
  struct access *access = argument;
  *access->address = access->value;
}

static void access_exec(void *argument) { ((void (*)(void))argument)(); }

bool try_read(const volatile void *address, u64 *value, struct fault *fault) {
  struct access access = {(volatile u64 *)address, 0};
  if (!guarded(access_read, &access, fault)) return false;
  if (value) *value = access.value;
  return true;
}

bool try_write(volatile void *address, u64 value, struct fault *fault) {
  struct access access = {address, value};
  return guarded(access_write, &access, fault);
}

bool try_exec(const void *address, struct fault *fault) { return guarded(access_exec, (void *)address, fault); }

bool is_key_fault(const struct fault *fault, const volatile void *address, int key) {
  return fault->signal == SIGSEGV && fault->code == SEGV_PKUERR && fault->address == (u64)address &&
         fault->key == (u32)key && (!(fault->error & PF_PRESENT) || (fault->error & PF_PK));
}
