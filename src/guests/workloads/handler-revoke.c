/*
 * A thread is told by a signal to give up its rights to a key, and acknowledges. The faulty twin's handler does it by WRPKRU, which
 * rt_sigreturn undoes with the PKRU of the frame. Corrected: the handler edits the frame.
 *
 *   handler-revoke [faulty|fixed]
 */
#include "europa.h"

static bool fixed;
static int key;
static u64 *page;
static struct gate revoked, refilled;

static void on_revoke(int signal, struct siginfo *info, struct ucontext *context) {
  (void)signal;
  (void)info;
  if (fixed)
    frame_set_pkru(context, pkru_with(frame_pkru(context), key, PKEY_DISABLE_ACCESS));
  else
    shut_key(key);
  gate_open(&revoked);
}

static long revoke_and_refill(void *argument) {
  sys_tgkill((int)sys_getpid(), (int)(u64)argument, SIGUSR1);
  gate_wait(&revoked);
  open_key(key);
  page[0] = SECRET;
  shut_key(key);
  gate_open(&refilled);
  return 0;
}

int main(int argc, char **argv) {
  fixed = wants_fixed(argc, argv);
  need_keys();
  catch_faults();
  install_handler(SIGUSR1, on_revoke, 0);
  page = map_pages(1);
  key = must_take_key(0);
  tag_page(page, key);
  struct thread *thread = thread_start(revoke_and_refill, (void *)(u64)sys_gettid());
  gate_wait(&refilled);
  u32 pkru = rdpkru();
  bool leaked = reads_secret(page);
  thread_join(thread);
  return leaked ? failed("page=%p key=%d pkru=0x%08x read=secret-after-revocation", (void *)page, key, pkru) : EXIT_HELD;
}
