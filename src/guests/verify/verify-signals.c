/* The kernel's own accesses, and PKRU around signal handlers: properties 11 to 14. */
#include "europa.h"

#include "europa/verify.h"

static u64 tried;

/* --- 11: system calls on a denied buffer --- */

enum { SYS_pipe2 = 293, SYS_uname = 63, O_NONBLOCK = 0x800 };

static void expect_result(int key, const char *call, long result, long expected) {
  tried++;
  check(result == expected, key, call, "%ld, expected %ld", result, expected);
}

/* Every word of the page is `value`. */
static bool all_words(const u64 *page, u64 value) {
  for (size_t i = 0; i < PAGE_SIZE / 8; i++)
    if (page[i] != value) return false;
  return true;
}

static void fill(u64 *page, u64 value) {
  for (size_t i = 0; i < PAGE_SIZE / 8; i++) page[i] = value;
}

static void uaccess_efault(void) {
  tried = 0;
  int key = obtain_key();
  u32 mine = rdpkru(), open = pkru_with(mine, key, 0), shut = pkru_with(mine, key, PKEY_DISABLE_ACCESS);
  u32 no_write = pkru_with(mine, key, PKEY_DISABLE_WRITE);
  u64 *two = map_pages(2), *denied = two + PAGE_SIZE / 8;
  fill(two, 1);
  fill(denied, SECRET);
  retag(denied, 1, PROT_READ | PROT_WRITE, key);
  i32 pipe[2]; /* not blocking: a byte too few must not hang the search */
  long piped = syscall2(SYS_pipe2, (long)pipe, O_NONBLOCK);
  if (is_error(piped)) die("pipe2", piped);
  static u8 text[PAGE_SIZE];

  wrpkru(shut);
  expect_result(key, "write(pipe, denied page, 8)", sys_write(pipe[1], denied, 8), -EFAULT);
  expect_result(key, "clock_gettime(CLOCK_MONOTONIC, denied page)", syscall2(SYS_clock_gettime, CLOCK_MONOTONIC, (long)denied),
                -EFAULT);
  expect_result(key, "getcpu(denied page)", syscall3(SYS_getcpu, (long)denied, 0, 0), -EFAULT);
  expect_result(key, "uname(denied page)", syscall1(SYS_uname, (long)denied), -EFAULT);
  expect_result(key, "rt_sigprocmask(SIG_BLOCK, NULL, denied page)",
                syscall4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)denied, 8), -EFAULT);
  expect_result(key, "rt_sigprocmask(SIG_BLOCK, denied page, NULL)",
                syscall4(SYS_rt_sigprocmask, SIG_BLOCK, (long)denied, 0, 8), -EFAULT);
  struct timespec soon = {0, 1000000};
  expect_result(key, "futex(denied page, FUTEX_WAIT)", sys_futex_wait(denied, 0, &soon), -EFAULT);
  /* pipe_write of Linux answers EFAULT although eight bytes could be copied; other files answer 8. */
  long written = sys_write(pipe[1], (u8 *)denied - 8, 16);
  check(written == 8 || written == -EFAULT, key, "write(pipe, 8 bytes allowed and 8 denied)", "%ld", written);
  expect_result(key, "read(pipe, allowed page)", sys_read(pipe[0], text, sizeof text), written == 8 ? 8 : -EAGAIN);
  sys_write(pipe[1], text, 16);
  expect_result(key, "read(pipe, denied page, 8)", sys_read(pipe[0], denied, 8), -EFAULT);
  wrpkru(open);
  check(all_words(denied, SECRET), key, "look at the denied page", "it has been written");
  while (sys_read(pipe[0], text, sizeof text) > 0) continue;

  /* Only writing denied: the kernel may read from the page, not write to it. */
  wrpkru(no_write);
  expect_result(key, "write(pipe, page with WD, 8)", sys_write(pipe[1], denied, 8), 8);
  expect_result(key, "read(pipe, page with WD, 8)", sys_read(pipe[0], denied, 8), -EFAULT);
  expect_result(key, "getcpu(page with WD)", syscall3(SYS_getcpu, (long)denied, 0, 0), -EFAULT);
  wrpkru(open);
  check(all_words(denied, SECRET), key, "look at the page with WD", "it has been written");
  sys_write(pipe[1], text, 8);
  expect_result(key, "read(pipe, page opened again, 8)", sys_read(pipe[0], denied, 8), 8);
  wrpkru(mine);
  return_key(key);
  verdict(all_checked(), tried);
}

/* --- 12: sigreturn --- */

enum frame_edit { LEAVE_FRAME, SET_PKRU, CLEAR_BV, SPOIL_MAGIC, DROP_FPSTATE };
static enum frame_edit edit;
static u32 frame_value, edited_value, pkru_within;

static void edit_frame(int signal, struct siginfo *info, struct ucontext *context) {
  (void)signal;
  (void)info;
  pkru_within = rdpkru();
  frame_value = frame_pkru(context);
  if (edit == SET_PKRU) frame_set_pkru(context, edited_value);
  if (edit == CLEAR_BV) *(u64 *)(context->fpstate + XSTATE_BV_OFFSET) &= ~(u64)XFEATURE_PKRU;
  if (edit == SPOIL_MAGIC) *(u32 *)(context->fpstate + FP_SW_BYTES_OFFSET) = 0;
  if (edit == DROP_FPSTATE) context->fpstate = NULL;
  /* What the handler leaves in the register does not count. */
  wrpkru(0x0f0f0f00);
}

static u32 signal_under(u32 pkru) {
  u32 before = rdpkru(), now;
  int process = (int)sys_getpid(), thread = (int)sys_gettid();
  wrpkru(pkru);
  sys_tgkill(process, thread, SIGUSR1);
  now = rdpkru();
  wrpkru(before);
  return now;
}

static void expect_after(const char *what, enum frame_edit how, u32 interrupted, u32 expected) {
  edit = how;
  u32 now = signal_under(interrupted);
  tried++;
  check(frame_value == interrupted, NO_KEY, "signal under PKRU 0x%08x; PKRU in the frame", "0x%08x", interrupted, frame_value);
  check(now == expected, NO_KEY, what, "PKRU 0x%08x after sigreturn, expected 0x%08x", now, expected);
}

static void sigreturn_restores(void) {
  tried = 0;
  install_handler(SIGUSR1, edit_frame, 0);
  for (u32 i = 0; i < 40; i++) {
    u32 value = (i * 0x9e3779b9u) & ~3u;
    expect_after("the frame left as it is", LEAVE_FRAME, value, value);
    edited_value = ~value & ~3u;
    expect_after("PKRU in the frame edited", SET_PKRU, value, edited_value);
  }
  expect_after("XSTATE_BV[9] of the frame cleared", CLEAR_BV, 0x5a5a5a58, 0);
  expect_after("magic of the frame damaged", SPOIL_MAGIC, 0x5a5a5a58, 0);
  expect_after("no fpstate in the frame", DROP_FPSTATE, 0x5a5a5a58, initial_pkru());
  verdict(all_checked(), tried);
}

/* --- 13: PKRU in a handler --- */

static void handler_pkru(void) {
  install_handler(SIGUSR1, edit_frame, 0);
  edit = LEAVE_FRAME;
  static const u32 values[] = {0, 0xfffffffc, PKRU_ONLY_KEY0, 0x30000000, 0xc0000000, 0xa5a5a5a4, 0x5a5a5a58};
  for (size_t i = 0; i < COUNT_OF(values); i++) {
    u32 expected = pkru_in_handler(values[i]);
    signal_under(values[i]);
    check(pkru_within == expected, NO_KEY, "RDPKRU in a handler that interrupted PKRU 0x%08x", "0x%08x, expected 0x%08x",
          values[i], pkru_within, expected);
  }
  verdict(all_checked(), COUNT_OF(values));
}

/* --- 14: a handler on a stack whose key is denied --- */

enum { STACK_PAGES = 4 };
static u32 delivered, refused;
static i32 refusal_code;

static void on_keyed_stack(int signal, struct siginfo *info, struct ucontext *context) {
  (void)signal;
  (void)info;
  (void)context;
  delivered++;
}

/* On the normal stack. */
static void on_refusal(int signal, struct siginfo *info, struct ucontext *context) {
  (void)signal;
  (void)context;
  refused++;
  refusal_code = info->code;
}

static void keyed_sigstack(void) {
  int key = obtain_key();
  struct {
    void *base;
    i32 flags, padding;
    u64 bytes;
  } stack = {keyed_pages(STACK_PAGES, key), 0, 0, STACK_PAGES * PAGE_SIZE}, none = {NULL, 2, 0, 0};
  long result = syscall2(SYS_sigaltstack, (long)&stack, 0);
  step(key, "sigaltstack on pages of key %d; handler of SIGUSR1 with SA_ONSTACK", "%ld", key, result);
  install_handler(SIGUSR1, on_keyed_stack, SA_ONSTACK);
  install_handler(SIGSEGV, on_refusal, 0);
  shut_key(key);
  step(key, "WRPKRU that denies key %d", "PKRU 0x%08x", key, rdpkru());
  sys_tgkill((int)sys_getpid(), (int)sys_gettid(), SIGUSR1);
  step(key, "tgkill(SIGUSR1) to itself", delivered ? "the handler ran" : "SIGSEGV (si_code %d) instead of the handler",
       refusal_code);
  syscall2(SYS_sigaltstack, (long)&none, 0);
  catch_faults();
  return_key(key);
  verdict(delivered == 1 && refused == 0, 1);
}

static const struct property properties[] = {
    {"uaccess-efault", uaccess_efault},
    {"sigreturn-restores", sigreturn_restores},
    {"handler-pkru", handler_pkru},
    {"keyed-sigstack", keyed_sigstack},
};

int main(int argc, char **argv) { return verify(argc, argv, properties, COUNT_OF(properties)); }
