/* mmap, munmap, mprotect, mremap, brk, madvise, mincore: effects and errnos. */
#include "signals.h"
#include <sys/mman.h>
#include <sys/syscall.h>

enum { P = 4096 };
static void handler(int signal, siginfo_t *info, void *context) {
  if (!end_probe(context, info, signal == SIGSEGV ? info->si_code : signal * 100 + info->si_code)) (fflush(stdout), _exit(99));
}

/* 0 allowed, 1 not mapped, 2 not permitted, 702 beyond a file's end. */
static int try_read(char *p) { return (int)probe_read(p); }
static int try_write(char *p) { return (int)probe_write(p); }
static const char *map_error(void *p) { return error_name(p == MAP_FAILED ? -1 : 0); }
static char *map(size_t length, int protection) { return mmap(0, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static void rights(const char *what, char *p, int pages) {
  printf("%s:", what);
  for (int i = 0; i < pages; i++) printf(" %d%d", try_read(p + i * P), try_write(p + i * P));
  putchar('\n');
}

int main(int argc, char **argv) {
  handle(SIGSEGV, handler, 0);
  handle(SIGBUS, handler, 0);

  char *area = map(8 * P, PROT_READ | PROT_WRITE);
  printf("aligned %d zero %d\n", (uintptr_t)area % P == 0, area[5 * P] == 0);
  rights("fresh", area, 8);
  printf("mprotect %s\n", error_name(mprotect(area + P, 2 * P, PROT_READ)));
  printf("mprotect %s\n", error_name(mprotect(area + 4 * P, P, PROT_NONE)));
  rights("mixed", area, 8);
  printf("munmap %s\n", error_name(munmap(area + 6 * P, P)));
  rights("hole", area, 8);
  printf("mprotect over the hole %s\n", error_name(mprotect(area + 5 * P, 3 * P, PROT_READ)));
  rights("before it, changed", area, 8);
  printf("munmap over the hole %s\n", error_name(munmap(area + 5 * P, 3 * P)));
  printf("unaligned: %s %s, zero length: %s %s, length rounded: %s\n", error_name(mprotect(area + 1, P, PROT_READ)), error_name(munmap(area + 1, P)),
         error_name(mprotect(area, 0, PROT_READ)), error_name(munmap(area, 0)), error_name(mprotect(area, 1, PROT_READ | PROT_WRITE)));
  printf("bad protection %s, unmapped %s, wrap %s, munmap far beyond user space %s\n", error_name(mprotect(area, P, 0x100000)), error_name(mprotect((void *)0x10000, P, PROT_READ)),
         error_name(mprotect(area, (size_t)-P, PROT_READ)), error_name(munmap((void *)(1ul << 62), 2 * P)));
  printf("mprotect PROT_GROWSDOWN and PROT_GROWSUP %s\n", error_name(mprotect(area, P, PROT_READ | 0x03000000)));

  printf("mmap: length 0 %s, huge %s, no sharing type %s, bad fd %s, unaligned offset %s, fixed unaligned %s\n", map_error(mmap(0, 0, 3, 0x22, -1, 0)),
         map_error(mmap(0, (size_t)1 << 60, 3, 0x22, -1, 0)), map_error(mmap(0, P, 3, MAP_ANONYMOUS, -1, 0)), map_error(mmap(0, P, 3, MAP_PRIVATE, 99, 0)),
         map_error((void *)syscall(SYS_mmap, 0, P, 3, MAP_PRIVATE, 0, 5)), map_error(mmap(area + 1, P, 3, 0x22 | MAP_FIXED, -1, 0)));
  char *fixed = mmap(area + 2 * P, 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  printf("MAP_FIXED there %d, zero again %d\n", fixed == area + 2 * P, fixed[0] == 0);
  printf("MAP_FIXED_NOREPLACE %s\n", map_error(mmap(area, P, 3, MAP_PRIVATE | MAP_ANONYMOUS | 0x100000, -1, 0)));
  int taken = mmap(area + 6 * P, P, 3, 0x22, -1, 0) == area + 6 * P;
  printf("hint taken %d, hint occupied %d\n", taken, mmap(area, P, 3, 0x22, -1, 0) != area);
  rights("after MAP_FIXED", area, 4);

  char *grow = map(4 * P, PROT_READ | PROT_WRITE);
  for (int i = 0; i < 4; i++) grow[i * P] = (char)('a' + i);
  char *moved = mremap(grow, 4 * P, 64 * P, MREMAP_MAYMOVE);
  printf("mremap grown %c%c%c%c %d\n", moved[0], moved[P], moved[2 * P], moved[3 * P], moved[63 * P]);
  char *shrunk = mremap(moved, 64 * P, 2 * P, 0);
  printf("shrunk in place %d, rest gone %d\n", shrunk == moved, try_read(moved + 2 * P));
  char *blocker = mmap(moved + 2 * P, P, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  mprotect(blocker, P, PROT_READ);
  printf("no room to grow in place: %s\n", map_error(mremap(moved, 2 * P, 3 * P, 0)));
  char *target = map(8 * P, PROT_READ | PROT_WRITE);
  char *placed = mremap(moved, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, target + P);
  printf("placed %d %c%c old gone %d\n", placed == target + P, placed[0], placed[P], try_read(moved));
  printf("mremap errors: unmapped %s, unaligned %s, new length 0 %s, fixed without maymove %s, overlap %s, across mappings %s\n",
         map_error(mremap((void *)0x10000, P, 2 * P, MREMAP_MAYMOVE)), map_error(mremap(target + 1, P, P, 0)), map_error(mremap(target, P, 0, 0)),
         map_error(mremap(target, P, P, MREMAP_FIXED, target + 4 * P)), map_error(mremap(target, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, target + P)),
         map_error(mremap(area, 64 * P, 65 * P, MREMAP_MAYMOVE)));

  /* By number: musl's sbrk only answers ENOMEM. */
  char *start = (char *)syscall(SYS_brk, 0);
  int grown = (char *)syscall(SYS_brk, start + 5 * P) == start + 5 * P;
  printf("brk: grown %d, zero %d\n", grown, start[4 * P] == 0);
  start[4 * P] = 1;
  syscall(SYS_brk, start);
  syscall(SYS_brk, start + 5 * P);
  printf("zero again %d, beyond limit nothing changes %d\n", start[4 * P] == 0, (char *)syscall(SYS_brk, start + ((long)1 << 46)) == start + 5 * P);
  long here = syscall(SYS_brk, 0);
  printf("brk below start is ignored %d\n", syscall(SYS_brk, 0x1000) == here);

  memset(target, 'x', 8 * P);
  int dropped = madvise(target, P, MADV_DONTNEED);
  printf("MADV_DONTNEED %s, zero %d, neighbour %c\n", error_name(dropped), target[0], target[4 * P]);
  printf("madvise: unaligned %s, bad advice %s, unmapped %s, WILLNEED %s\n", error_name(madvise(target + 1, P, MADV_DONTNEED)), error_name(madvise(target, P, 12345)),
         error_name(madvise((void *)0x10000, P, MADV_DONTNEED)), error_name(madvise(target, P, MADV_WILLNEED)));

  char *shared = mmap(0, 2 * P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  shared[P] = 5;
  printf("shared anonymous %d\n", shared[P]);
  char *code_page = map(P, PROT_READ | PROT_WRITE);
  memcpy(code_page, "\xb8\x2a\0\0\0\xc3", 6);
  mprotect(code_page, P, PROT_READ | PROT_EXEC);
  printf("code in a page made executable: %d\n", ((int (*)(void))code_page)());
  mprotect(code_page, P, PROT_READ | PROT_WRITE);
  memcpy(code_page + 1, "\x2b", 1);
  mprotect(code_page, P, PROT_READ | PROT_EXEC);
  printf("rewritten: %d\n", ((int (*)(void))code_page)());
  mprotect(code_page, P, PROT_READ);
  printf("no longer executable: %ld\n", probe_call(code_page));
  mprotect(code_page, P, PROT_WRITE);
  printf("PROT_WRITE alone can be read: %d\n", try_read(code_page));

  /* Many mappings, split and merged. */
  char *many = map(1024 * P, PROT_READ | PROT_WRITE);
  int bad = 0;
  for (int i = 0; i < 1024; i += 2) bad += mprotect(many + i * P, P, PROT_READ) != 0;
  for (int i = 0; i < 1024; i += 31) bad += try_write(many + i * P) != (i % 2 ? 0 : 2);
  bad += mprotect(many, 1024 * P, PROT_READ | PROT_WRITE) != 0;
  for (int i = 0; i < 1024; i++) many[i * P] = (char)i;
  for (int i = 0; i < 1024; i++) bad += many[i * P] != (char)i;
  for (int i = 1; i < 1024; i += 2) bad += munmap(many + i * P, P) != 0;
  for (int i = 0; i < 1024; i += 7) bad += try_read(many + i * P) != (i % 2 ? 1 : 0);
  bad += munmap(many, 1024 * P) != 0;
  printf("many: wrong %d\n", bad);

  /* A file, if one is given: private changes don't reach it, beyond its last page is SIGBUS. */
  if (argc > 1) {
    FILE *file = fopen(argv[1], "r");
    if (!file) return perror(argv[1]), 1;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    size_t span = ((size_t)size + P - 1) / P * P;
    char *mapped = mmap(0, span + P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
    printf("file mapped: %s first %c, behind the end %d, beyond the last page %d\n", map_error(mapped), mapped[0], mapped[size], try_read(mapped + span));
    mapped[0] = '!';
    rewind(file);
    printf("file itself: %c, mapping: %c\n", getc(file), mapped[0]);
    char *second = mmap(0, P, PROT_READ, MAP_PRIVATE, fileno(file), P);
    printf("second page: %s equal %d\n", map_error(second), memcmp(second, mapped + P, P) == 0);
    fclose(file);
  }
  return 0;
}
