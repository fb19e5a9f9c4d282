/*
 * Two threads each withdraw the whole balance if it is there. Every access is under the lock, but test and withdrawal are two
 * critical sections, so both tests may pass. Corrected: one critical section.
 *
 *   atomicity-violation [faulty|fixed]
 */
#include "europa.h"

enum { AMOUNT = 100 };
static bool fixed;
static struct mutex lock;
static i64 balance = AMOUNT;

static long withdraw(void *unused) {
  (void)unused;
  mutex_lock(&lock);
  bool enough = balance >= AMOUNT;
  if (!fixed) {
    mutex_unlock(&lock);
    mutex_lock(&lock);
  }
  if (enough) balance -= AMOUNT;
  mutex_unlock(&lock);
  return 0;
}

int main(int argc, char **argv) {
  fixed = wants_fixed(argc, argv);
  struct thread *other = thread_start(withdraw, NULL);
  withdraw(NULL);
  thread_join(other);
  return balance == 0 ? EXIT_HELD : failed("balance=%ld expected=0", balance);
}
