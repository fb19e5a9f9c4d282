#include "europa.h"

struct kernel_sigaction {
  signal_handler handler;
  u64 flags;
  void (*restorer)(void);
  u64 mask;
};

asm(".pushsection .text.signal_restorer,\"ax\",@progbits\n"
    ".type signal_restorer,@function\n"
    "signal_restorer:\n"
    "  mov $15, %eax\n"
    "  syscall\n"
    "  ud2\n"
    ".size signal_restorer, .-signal_restorer\n"
    ".popsection\n");
void signal_restorer(void);

enum { SIGNAL_SET_BYTES = 8 };

long install_handler(int signal, signal_handler handler, u32 flags) {
  struct kernel_sigaction action = {handler, flags | SA_SIGINFO | SA_RESTORER, signal_restorer, 0};
  return syscall4(SYS_rt_sigaction, signal, (long)&action, 0, SIGNAL_SET_BYTES);
}

long change_mask(int how, u64 mask) {
  return syscall4(SYS_rt_sigprocmask, how, (long)&mask, 0, SIGNAL_SET_BYTES);
}

static u64 *frame_xstate_bv(const struct ucontext *context) { return (u64 *)(context->fpstate + XSTATE_BV_OFFSET); }

bool frame_has_pkru(const struct ucontext *context) {
  if (!context->fpstate || !xsave_pkru_offset()) return false;
  return *(const u32 *)(context->fpstate + FP_SW_BYTES_OFFSET) == FP_XSTATE_MAGIC1;
}

u32 frame_pkru(const struct ucontext *context) {
  if (!frame_has_pkru(context) || !(*frame_xstate_bv(context) & XFEATURE_PKRU)) return 0;
  return *(const u32 *)(context->fpstate + xsave_pkru_offset());
}

void frame_set_pkru(struct ucontext *context, u32 pkru) {
  if (!frame_has_pkru(context)) return;
  *(u32 *)(context->fpstate + xsave_pkru_offset()) = pkru;
  *frame_xstate_bv(context) |= XFEATURE_PKRU;
}
