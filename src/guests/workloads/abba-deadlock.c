/*
 * Two threads take two locks in opposite orders: each may hold one and wait for the other for ever. There is no check to fail:
 * all threads blocked is the failure. Corrected: one order.
 *
 *   abba-deadlock [faulty|fixed]
 */
#include "europa.h"

static struct mutex a, b;
static u32 transfers;

static void transfer(struct mutex *from, struct mutex *to) {
  mutex_lock(from);
  mutex_lock(to);
  transfers++;
  mutex_unlock(to);
  mutex_unlock(from);
}

static long there(void *unused) {
  (void)unused;
  transfer(&a, &b);
  return 0;
}

int main(int argc, char **argv) {
  bool fixed = wants_fixed(argc, argv);
  struct thread *other = thread_start(there, NULL);
  transfer(fixed ? &a : &b, fixed ? &b : &a);
  thread_join(other);
  return transfers == 2 ? EXIT_HELD : failed("transfers=%u expected=2", transfers);
}
