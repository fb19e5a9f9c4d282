/*
 * Writes to standard output, as the kernel left it and before anything has changed it: the initial stack pointer, the
 * stack from there to its top, and every PT_LOAD segment in whole pages. Freestanding: no start-up code runs first.
 */
typedef unsigned long u64;

struct phdr {
  unsigned type, flags;
  u64 offset, vaddr, paddr, filesz, memsz, align;
};

/* A large alignment gap between data and bss contents, so that partial pages are seen. */
char data[5000] = {1, 2, 3};
const char rodata[300] = "read-only";
char bss[9000];

static long write_all(const void *start, u64 bytes) {
  const char *p = start;
  while (bytes) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(1), "D"(1), "S"(p), "d"(bytes) : "rcx", "r11", "memory");
    if (result <= 0) return result;
    p += result;
    bytes -= result;
  }
  return 0;
}

__attribute__((noreturn, used)) void dump(u64 *sp) {
  u64 *p = sp + 1 + *sp + 1;
  while (*p++) continue; /* environment */
  struct phdr *headers = 0;
  u64 count = 0, entry = 0, execfn = 0;
  for (; *p; p += 2) {
    if (p[0] == 3) headers = (struct phdr *)p[1];
    if (p[0] == 5) count = p[1];
    if (p[0] == 9) entry = p[1];
    if (p[0] == 31) execfn = p[1];
  }
  u64 end = execfn;
  while (*(char *)end) end++;
  end += 1 + 8;
  /* The first segment begins with the ELF header. */
  extern char __ehdr_start[];
  u64 base = (u64)__ehdr_start;
  for (u64 i = 0; i < count; i++)
    if (headers[i].type == 1) {
      base -= headers[i].vaddr;
      break;
    }
  u64 head[4] = {(u64)sp, end, base, entry};
  write_all(head, sizeof head);
  write_all(sp, end - (u64)sp);
  for (u64 i = 0; i < count; i++) {
    if (headers[i].type != 1) continue;
    u64 range[2] = {(base + headers[i].vaddr) & ~4095ul, (base + headers[i].vaddr + headers[i].memsz + 4095) & ~4095ul};
    write_all(range, sizeof range);
    write_all((void *)range[0], range[1] - range[0]);
  }
  data[0] = bss[0] = rodata[0];
  __asm__ volatile("syscall" ::"a"(231), "D"(0));
  __builtin_unreachable();
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call dump\n");
