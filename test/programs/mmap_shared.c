/* Shared mappings of files: two mappings and the file itself are one thing; named semaphores and shared memory. */
#include "test.h"
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PAGE 4096
static sigjmp_buf env;
static void bus(int signo) { siglongjmp(env, signo); }

static void *poster(void *semaphore) {
  for (int i = 0; i < 100; i++) sem_post(semaphore);
  return 0;
}

int main(void) {
  char name[64], bytes[PAGE];
  snprintf(name, sizeof name, "/europa-test-%ld", syscall(SYS_getpid) * 100000 + (long)(syscall(SYS_gettid)));
  int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
  check("shm_open", fd >= 0);
  check("ftruncate", ftruncate(fd, 3 * PAGE) == 0);
  char *first = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char *second = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
  check("mmap", first != MAP_FAILED && second != MAP_FAILED);
  strcpy(first + PAGE, "seen by both");
  check("the other mapping sees a store", strcmp(second, "seen by both") == 0);
  check("read sees a store", pread(fd, bytes, 32, PAGE) == 32 && strcmp(bytes, "seen by both") == 0);
  check("mappings see a write", pwrite(fd, "WRITTEN", 7, PAGE + 5) == 7 && strcmp(second, "seen WRITTEN") == 0);
  check("nothing was lost", memcmp(first + PAGE, "seen WRITTEN", 13) == 0);
  char *private = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
  check("a private mapping sees the store", strcmp(private, "seen WRITTEN") == 0);
  private[0] = 'X';
  check("but keeps its own", second[0] == 's');
  check("mprotect", mprotect(second, PAGE, PROT_READ | PROT_WRITE) == 0);
  int reader = shm_open(name, O_RDONLY, 0);
  char *third = mmap(0, PAGE, PROT_READ, MAP_SHARED, reader, PAGE);
  check("a read-only descriptor", third != MAP_FAILED && third[0] == 's');
  printf("mprotect: %s\n", error_name(mprotect(third, PAGE, PROT_READ | PROT_WRITE)));
  printf("mmap: %s\n", error_name(mmap(0, PAGE, PROT_WRITE, MAP_SHARED, reader, 0) == MAP_FAILED ? -1 : 0));
  close(fd);
  munmap(second, PAGE);
  first[2 * PAGE] = 'z';
  check("msync", msync(first, 3 * PAGE, MS_SYNC) == 0);
  munmap(first, 3 * PAGE);
  check("the file keeps it", pread(reader, bytes, 1, 2 * PAGE) == 1 && bytes[0] == 'z');
  check("shm_unlink", shm_unlink(name) == 0);

  /* The size changes under the mapping. */
  fd = memfd_create("grows", 0);
  first = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  signal(SIGBUS, bus);
  int got = sigsetjmp(env, 1);
  if (!got) *(volatile char *)first = 1;
  check("beyond the end", got == SIGBUS);
  check("ftruncate", ftruncate(fd, PAGE + 100) == 0);
  first[PAGE + 99] = 'l';
  first[PAGE + 100] = 'x';
  check("the last byte, not one more", pread(fd, bytes, 200, PAGE) == 100 && bytes[99] == 'l');
  check("shorter and longer", ftruncate(fd, 10) == 0 && ftruncate(fd, 2 * PAGE) == 0 && pread(fd, bytes, 1, PAGE + 99) == 1 && bytes[0] == 0);
  check("written at the end", pwrite(fd, "end", 3, 3 * PAGE) == 3 && strcmp(first + 3 * PAGE, "end") == 0);

  /* Code that is written through one mapping and run through another, again and again. */
  unsigned char *writable = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  int (*run)(void) = (int (*)(void))mmap(0, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  int wrong = 0;
  for (int i = 0; i < 20; i++) {
    unsigned char code[] = {0xb8, i, 0, 0, 0, 0xc3};
    if (i & 1) memcpy(writable, code, sizeof code);
    else wrong += pwrite(fd, code, sizeof code, 0) != sizeof code;
    wrong += run() != i;
  }
  check("code through two mappings", wrong == 0);

  sem_t *semaphore = sem_open(name, O_CREAT | O_EXCL, 0600, 1);
  check("sem_open", semaphore != SEM_FAILED);
  sem_t *again = sem_open(name, 0);
  check("the same semaphore", again != SEM_FAILED && sem_wait(again) == 0 && sem_trywait(semaphore) == -1);
  pthread_t thread;
  pthread_create(&thread, 0, poster, again);
  for (int i = 0; i < 100; i++) sem_wait(semaphore);
  pthread_join(thread, 0);
  check("sem_unlink", sem_unlink(name) == 0 && sem_close(semaphore) == 0);
  return failures;
}
