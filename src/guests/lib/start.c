/* Program entry: auxiliary vector, the main thread's TLS, main, exit_group. */
#include "europa.h"

asm(".pushsection .text._start,\"ax\",@progbits\n"
    ".globl _start\n"
    ".type _start,@function\n"
    "_start:\n"
    "  xor %ebp, %ebp\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call europa_start\n"
    "  ud2\n"
    ".size _start, .-_start\n"
    ".popsection\n");

int main(int argc, char **argv);

static const u64 *auxiliary;
static struct thread main_thread;

u64 auxv(u64 type) {
  for (const u64 *entry = auxiliary; entry[0] != 0; entry += 2)
    if (entry[0] == type) return entry[1];
  return 0;
}

__attribute__((noreturn, used)) void europa_start(u64 *stack) {
  int argc = (int)stack[0];
  char **argv = (char **)(stack + 1);
  u64 *end = stack + 1 + argc + 1;
  while (*end != 0) end++;
  auxiliary = end + 1;
  main_thread.self = &main_thread;
  syscall2(SYS_arch_prctl, ARCH_SET_FS, (long)&main_thread);
  main_thread.tid = main_thread.number = (u32)sys_gettid();
  exit(main(argc, argv));
}

void *map_pages(size_t pages) {
  long result = sys_mmap(NULL, pages * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (is_error(result)) die("mmap", result);
  return (void *)result;
}
