/* epoll: level- and edge-triggered, one-shot, nested; closing, errors, threads. */
#include "test.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>

static int control(int ep, int operation, int fd, unsigned events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  return epoll_ctl(ep, operation, fd, &event);
}

static void show(const char *what, int ep, int timeout) {
  struct epoll_event events[8];
  int count = epoll_wait(ep, events, 8, timeout);
  printf("%s: %d", what, count);
  uint64_t sum = 0;
  for (int i = 0; i < count; i++) sum += events[i].events * 1000ull + events[i].data.u64;
  printf(" %lld\n", (long long)sum);
}

static int ep, stop_fd, work_fd;
static long taken;

static void *worker(void *unused) {
  (void)unused;
  for (;;) {
    struct epoll_event event;
    if (epoll_wait(ep, &event, 1, -1) != 1) continue;
    if (event.data.u64 == 1) return 0;
    uint64_t one;
    if (read(work_fd, &one, 8) == 8) __atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
  }
}

static void caught(int signo) { (void)signo; }

static void *later(void *pipe) {
  usleep(20000);
  if (write(*(int *)pipe, "x", 1) != 1) abort();
  return 0;
}

int main(void) {
  printf("create: %s %s\n", error_name(epoll_create(0)), error_name(epoll_create1(1)));
  ep = epoll_create1(EPOLL_CLOEXEC);
  int p[2], other[2];
  if (ep < 0 || pipe2(p, O_NONBLOCK) || pipe2(other, O_NONBLOCK)) return 1;
  int file = open("/proc/self/maps", O_RDONLY), null = open("/dev/null", O_RDONLY), regular = open("/proc/self/exe", O_RDONLY);
  printf("add: %s %s %s %s %s %s\n", error_name(control(ep, EPOLL_CTL_ADD, regular, EPOLLIN, 0)), error_name(control(ep, EPOLL_CTL_ADD, null, EPOLLIN, 0)),
         error_name(control(ep, EPOLL_CTL_ADD, 99, EPOLLIN, 0)), error_name(control(99, EPOLL_CTL_ADD, p[0], EPOLLIN, 0)),
         error_name(control(p[0], EPOLL_CTL_ADD, p[1], EPOLLIN, 0)), error_name(control(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 0)));
  printf("proc: %s\n", error_name(control(ep, EPOLL_CTL_ADD, file, EPOLLIN, 0)));
  printf("other: %s %s %s %s\n", error_name(control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 0)), error_name(control(ep, EPOLL_CTL_DEL, p[0], 0, 0)),
         error_name(control(ep, 7, p[0], EPOLLIN, 0)), error_name(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], (void *)1)));
  struct epoll_event event;
  printf("wait: %s %s %s %s\n", error_name(epoll_wait(ep, &event, 0, 0)), error_name(epoll_wait(ep, &event, -1, 0)),
         error_name(epoll_wait(p[0], &event, 1, 0)), error_name(epoll_wait(99, &event, 1, 0)));

  /* Level-triggered. */
  check("add", control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 10) == 0);
  printf("twice: %s\n", error_name(control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 10)));
  show("empty", ep, 0);
  show("timeout", ep, 5);
  check("write", write(p[1], "abc", 3) == 3);
  show("level", ep, 0);
  show("level again", ep, -1);
  printf("bad address: %s\n", error_name(epoll_wait(ep, (void *)8, 1, 0)));
  check("poll", poll(&(struct pollfd){ep, POLLIN, 0}, 1, 0) == 1);

  /* Edge-triggered. */
  control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 11);
  show("edge", ep, 0);
  show("edge, nothing new", ep, 0);
  check("write", write(p[1], "d", 1) == 1);
  show("edge, more", ep, 0);
  char bytes[64];
  check("read one", read(p[0], bytes, 1) == 1);
  show("edge, less", ep, 0);
  check("read all", read(p[0], bytes, sizeof bytes) == 3);
  show("edge, empty", ep, 0);
  check("write", write(p[1], "e", 1) == 1);
  show("edge, again", ep, 0);
  control(ep, EPOLL_CTL_ADD, p[1], EPOLLOUT | EPOLLET, 12);
  show("edge, room", ep, 0);
  show("edge, room still", ep, 0);
  check("read", read(p[0], bytes, 1) == 1);
  show("edge, more room", ep, 0);
  control(ep, EPOLL_CTL_DEL, p[1], 0, 0);

  /* One shot. */
  control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 13);
  check("write", write(p[1], "f", 1) == 1);
  show("one shot", ep, 0);
  show("one shot, again", ep, 0);
  control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 14);
  show("one shot, armed again", ep, 0);

  /* The other end goes; a descriptor goes; its duplicate stays. */
  control(ep, EPOLL_CTL_ADD, other[0], EPOLLIN, 20);
  close(other[1]);
  show("hang-up", ep, 0);
  int twin = dup(other[0]);
  close(other[0]);
  show("duplicate open", ep, 0);
  close(twin);
  show("all closed", ep, 0);

  /* Nested, and round in a circle. */
  int outer = epoll_create1(0);
  check("nest", control(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 30) == 0);
  printf("circle: %s\n", error_name(control(ep, EPOLL_CTL_ADD, outer, EPOLLIN, 31)));
  show("nested, empty", outer, 0);
  control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 15);
  show("nested", outer, 0);
  check("read", read(p[0], bytes, sizeof bytes) == 1);
  show("nested, read", outer, 0);

  /* Who sleeps is woken, by another thread and by a signal; with a mask, by what it leaves. */
  pthread_t thread;
  pthread_create(&thread, 0, later, &p[1]);
  show("woken", outer, -1);
  pthread_join(thread, 0);
  check("read", read(p[0], bytes, sizeof bytes) == 1);
  signal(SIGALRM, caught);
  ualarm(10000, 10000);
  printf("signal: %s\n", error_name(epoll_wait(ep, &event, 1, -1)));
  ualarm(0, 0);
  sigset_t none, blocked;
  sigemptyset(&none);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGALRM);
  sigprocmask(SIG_BLOCK, &blocked, 0);
  raise(SIGALRM);
  printf("mask: %s\n", error_name(epoll_pwait(ep, &event, 1, -1, &none)));
  printf("mask: %s\n", error_name(epoll_pwait(ep, &event, 1, 1, &blocked)));
  struct timespec bad = {0, 1000000000}, brief = {0, 1000};
  printf("pwait2: %s %ld\n", error_name(syscall(441, ep, &event, 1, &bad, 0, 8)), syscall(441, ep, &event, 1, &brief, 0, 8));

  /* Four threads share the work of an eventfd: each count is taken once. */
  work_fd = eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE);
  stop_fd = eventfd(0, 0);
  control(ep, EPOLL_CTL_ADD, work_fd, EPOLLIN, 2);
  pthread_t workers[4];
  for (int i = 0; i < 4; i++) pthread_create(&workers[i], 0, worker, 0);
  for (uint64_t i = 0, three = 3; i < 200; i++)
    if (write(work_fd, &three, 8) != 8) return 1;
  while (__atomic_load_n(&taken, __ATOMIC_RELAXED) < 600) usleep(1000);
  control(ep, EPOLL_CTL_ADD, stop_fd, EPOLLIN, 1);
  if (write(stop_fd, &(uint64_t){1}, 8) != 8) return 1;
  for (int i = 0; i < 4; i++) pthread_join(workers[i], 0);
  printf("taken: %ld\n", taken);
  return failures;
}
