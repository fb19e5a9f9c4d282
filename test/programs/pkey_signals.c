/* Signals and PKRU: value in the handler, frame's XSAVE image and its magic, error code, an edited frame, XSTATE_BV cleared, denied stacks. */
#include "pkeys.h"

static int key;
static char *page;
static volatile int mode, runs;

static void on_fault(int signal, siginfo_t *info, void *context) {
  unsigned char *image = frame_xsave(context);
  uint32_t software[4], magic2, pkru;
  uint64_t bv, features;
  memcpy(software, image + 464, 12);
  memcpy(&features, image + 472, 8);
  memcpy(&bv, image + 512, 8);
  memcpy(&magic2, image + *(uint32_t *)(image + 480), 4);
  runs++;
  printf("signal %d code %d key %u at page+%ld error %llx trap %lld\n", signal, info->si_code, fault_key(info), (long)((char *)info->si_addr - page), *greg(context, GREG_ERR), *greg(context, GREG_TRAPNO));
  printf("  in the handler %08x, interrupted %08x\n", rdpkru(), frame_pkru(context));
  printf("  magic1 %08x magic2 %08x, image in extended size %d, aligned %d, component 9 among features %d, in XSTATE_BV %d\n", software[0], magic2,
         *(uint32_t *)(image + 480) + 4 == software[1], (uintptr_t)image % 64 == 0, (int)(features >> 9 & 1), (int)(bv >> 9 & 1));
  memcpy(&pkru, image + pkru_offset(), 4);
  switch (mode) {
    case 0: /* Edit the frame: open the key. */
      pkru &= ~(3u << 2 * key);
      memcpy(image + pkru_offset(), &pkru, 4);
      break;
    case 1: /* Component 9 in its initial state: everything opens. */
      bv &= ~(1ull << 9);
      memcpy(image + 512, &bv, 8);
      break;
    case 2: /* WRPKRU in the handler is undone by sigreturn: the second fault edits. */
      wrpkru(0);
      mode = 0;
      break;
    case 3: /* Open the page itself instead. */
      key_mprotect(page, P, RW, 0);
      break;
  }
}

static void on_usr(int signal, siginfo_t *info, void *context) {
  (void)info;
  printf("signal %d: in the handler %08x, interrupted %08x\n", signal, rdpkru(), frame_pkru(context));
  wrpkru(0x55555550);
}

int main(int argc, char **argv) {
  require_pkeys();
  handle(SIGSEGV, on_fault, 0);
  handle(SIGUSR1, on_usr, 0);
  key = key_alloc(0, 0);
  page = new_pages(2);
  page[100] = 42;
  key_mprotect(page, P, RW, key);
  for (mode = 0; mode < 4; mode++) {
    int wanted = mode;
    wrpkru(0x55555554 & ~(3u << 2 * key));
    set_rights(key, wanted % 2 ? 1 : 3);
    runs = 0;
    printf("mode %d, PKRU %08x\n", wanted, rdpkru());
    int value = *(volatile char *)(page + 100);
    printf("read %d after %d faults, PKRU %08x\n", value, runs, rdpkru());
    mode = wanted;
  }
  key_mprotect(page, P, RW, key);
  mode = 0;
  set_rights(key, 2);
  page[101] = 7;
  printf("write went through, PKRU %08x\n", rdpkru());
  wrpkru(0x15555554);
  raise(SIGUSR1);
  printf("PKRU afterwards %08x\n", rdpkru());
  wrpkru(0);
  raise(SIGUSR1);
  printf("PKRU afterwards %08x\n", rdpkru());

  /*
   * A handler on a stack with a key: the frame can be written while the key is open, but the handler starts with the
   * initial PKRU, in which the key is shut. Its first push faults, that fault has nowhere to go, and the process dies.
   */
  if (argc > 1 && !strcmp(argv[1], "keyed-stack")) {
    char *stack = new_pages(16);
    key_mprotect(stack, 16 * P, RW, key);
    stack_t alternate = {.ss_sp = stack, .ss_size = 16 * P};
    sigaltstack(&alternate, 0);
    handle(SIGUSR1, on_usr, SA_ONSTACK);
    set_rights(key, 0);
    fflush(stdout);
    raise(SIGUSR1);
    puts("delivered");
  }
  return 0;
}
