/* timerfd: once, periodic, absolute; reading, poll, epoll (level- and edge-triggered), set anew by another thread, errors. */
#include "test.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>

#define MS 1000000L

static int set(int fd, int flags, long first_ms, long period_ms) {
  struct itimerspec setting = {
      {period_ms / 1000, period_ms % 1000 * MS},
      {first_ms / 1000, first_ms % 1000 * MS},
  };
  return timerfd_settime(fd, flags, &setting, 0);
}

static uint64_t expirations(int fd) {
  uint64_t count = 0;
  return read(fd, &count, 8) == 8 ? count : 0;
}

static long now_ms(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1000 + now.tv_nsec / MS;
}

static void sleep_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * MS};
  while (nanosleep(&time, &time) != 0) {}
}

static int fd;

static void *set_soon(void *unused) {
  (void)unused;
  sleep_ms(20);
  set(fd, 0, 10, 0);
  return 0;
}

static void caught(int signo) { (void)signo; }

static int interrupted;

static void *interrupt_main(void *thread) {
  while (!__atomic_load_n(&interrupted, __ATOMIC_RELAXED)) {
    sleep_ms(20);
    pthread_kill(*(pthread_t *)thread, SIGUSR1);
  }
  return 0;
}

int main(void) {
  uint64_t count;
  struct itimerspec got;
  setvbuf(stdout, 0, _IOLBF, 0);
  fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  check("created", fd >= 0);
  check("close on exec", fcntl(fd, F_GETFD) == FD_CLOEXEC);
  check("flags", (fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == O_RDWR);
  char name[64] = "";
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  readlink(link, name, sizeof name - 1);
  struct stat st;
  printf("%s %d\n", name, fstat(fd, &st));

  /* Once. */
  long begin = now_ms(CLOCK_MONOTONIC);
  set(fd, 0, 300, 0);
  timerfd_gettime(fd, &got);
  check("time left", got.it_value.tv_sec == 0 && got.it_value.tv_nsec > 0 && got.it_value.tv_nsec <= 300 * MS);
  struct pollfd poll_in = {fd, POLLIN, 0};
  printf("poll at once: %d\n", poll(&poll_in, 1, 0));
  printf("read: %llu\n", (unsigned long long)expirations(fd));
  check("waited", now_ms(CLOCK_MONOTONIC) - begin >= 299);
  timerfd_gettime(fd, &got);
  check("off", got.it_value.tv_sec == 0 && got.it_value.tv_nsec == 0);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  printf("again: %s\n", error_name(read(fd, &count, 8)));
  fcntl(fd, F_SETFL, 0);

  /* Periodic. */
  set(fd, 0, 5, 5);
  sleep_ms(40);
  count = expirations(fd);
  check("several", count >= 7 && count < 1000);
  check("and on", expirations(fd) >= 1);
  timerfd_gettime(fd, &got);
  check("period", got.it_interval.tv_sec == 0 && got.it_interval.tv_nsec == 5 * MS);
  struct itimerspec off = {0};
  timerfd_settime(fd, 0, &off, &got);
  check("old period", got.it_interval.tv_nsec == 5 * MS && got.it_value.tv_nsec <= 5 * MS);
  printf("off, poll: %d\n", poll(&poll_in, 1, 10));

  /* Absolute, past and to come, on both clocks. */
  set(fd, TFD_TIMER_ABSTIME, 1, 0);
  printf("long past: %llu\n", (unsigned long long)expirations(fd));
  begin = now_ms(CLOCK_MONOTONIC);
  set(fd, TFD_TIMER_ABSTIME, begin + 20, 0);
  printf("to come: %llu\n", (unsigned long long)expirations(fd));
  check("waited", now_ms(CLOCK_MONOTONIC) >= begin + 20);
  int wall = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
  begin = now_ms(CLOCK_REALTIME);
  set(wall, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, begin + 20, 0);
  struct pollfd poll_wall = {wall, POLLIN | POLLOUT, 0};
  printf("poll: %d", poll(&poll_wall, 1, 5000));
  printf(" %x %llu\n", poll_wall.revents, (unsigned long long)expirations(wall));
  check("waited", now_ms(CLOCK_REALTIME) >= begin + 20);
  close(wall);

  /* poll and select end when it expires, and by their timeout. */
  set(fd, 0, 300, 0);
  printf("poll short: %d\n", poll(&poll_in, 1, 1));
  printf("poll: %d\n", poll(&poll_in, 1, -1));
  printf("poll ready: %d\n", poll(&poll_in, 1, -1));
  struct pollfd poll_out = {fd, POLLOUT, 0};
  printf("poll for writing: %d\n", poll(&poll_out, 1, 10));
  expirations(fd);
  set(fd, 0, 20, 0);
  fd_set reads;
  FD_ZERO(&reads);
  FD_SET(fd, &reads);
  printf("select: %d\n", select(fd + 1, &reads, 0, 0, 0));
  expirations(fd);

  /* epoll: an edge is an expiration after a look at the timer. */
  int level = epoll_create1(0), edge = epoll_create1(0), outer = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = 7};
  epoll_ctl(level, EPOLL_CTL_ADD, fd, &event);
  event.events = EPOLLIN | EPOLLET;
  epoll_ctl(edge, EPOLL_CTL_ADD, fd, &event);
  event.events = EPOLLIN;
  epoll_ctl(outer, EPOLL_CTL_ADD, level, &event);
  set(fd, 0, 20, 10);
  printf("nested: %d\n", epoll_wait(outer, &event, 1, -1));
  printf("level: %d", epoll_wait(level, &event, 1, 0));
  printf(" %x %u\n", event.events, event.data.u32);
  printf("edge: %d\n", epoll_wait(edge, &event, 1, -1));
  printf("edge, not read: %d\n", epoll_wait(edge, &event, 1, 50));
  printf("level, not read: %d\n", epoll_wait(level, &event, 1, 0));
  check("read", expirations(fd) >= 1);
  printf("edge, read: %d\n", epoll_wait(edge, &event, 1, 5000));
  set(fd, 0, 0, 0);
  printf("off: %d %d\n", epoll_wait(edge, &event, 1, 0), epoll_wait(level, &event, 1, 20));

  /* Set by another thread while this one waits, in read and in epoll_wait. */
  pthread_t thread;
  pthread_create(&thread, 0, set_soon, 0);
  printf("set meanwhile: %llu\n", (unsigned long long)expirations(fd));
  pthread_join(thread, 0);
  set(fd, 0, 60000, 0);
  pthread_create(&thread, 0, set_soon, 0);
  printf("set anew meanwhile: %d\n", epoll_wait(level, &event, 1, -1));
  pthread_join(thread, 0);
  expirations(fd);

  /* A signal interrupts a read. */
  struct sigaction action = {.sa_handler = caught};
  sigaction(SIGUSR1, &action, 0);
  pthread_t self = pthread_self();
  pthread_create(&thread, 0, interrupt_main, &self);
  printf("interrupted: %s\n", error_name(read(fd, &count, 8)));
  __atomic_store_n(&interrupted, 1, __ATOMIC_RELAXED);
  pthread_join(thread, 0);

  /* Errors. */
  printf("clock: %s\n", error_name(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0)));
  printf("flags: %s\n", error_name(timerfd_create(CLOCK_MONOTONIC, 1)));
  printf("settime flags: %s\n", error_name(set(fd, 8, 1, 0)));
  struct itimerspec wrong = {{0, 0}, {0, 1000 * MS}};
  printf("time: %s\n", error_name(timerfd_settime(fd, 0, &wrong, 0)));
  printf("no descriptor: %s %s\n", error_name(set(-1, 0, 1, 0)), error_name(timerfd_gettime(-1, &got)));
  printf("no timer: %s %s\n", error_name(set(1, 0, 1, 0)), error_name(timerfd_gettime(1, &got)));
  set(fd, 0, 1, 0);
  printf("short read: %s\n", error_name(read(fd, &count, 7)));
  printf("write: %s\n", error_name(write(fd, &count, 8)));
  printf("seek: %ld %s\n", (long)lseek(fd, 5, SEEK_END), error_name(lseek(fd, 0, 5)));
  printf("pread: %s\n", error_name(pread(fd, &count, 8, 0)));
  close(fd);
  return failures != 0;
}
