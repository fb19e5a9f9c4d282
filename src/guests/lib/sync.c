#include "europa.h"

void mutex_lock(struct mutex *mutex) {
  if (atomic_compare_exchange(&mutex->state, 0, 1)) return;
  while (atomic_exchange(&mutex->state, 2) != 0) sys_futex_wait(&mutex->state, 2, NULL);
}

bool mutex_try_lock(struct mutex *mutex) { return atomic_compare_exchange(&mutex->state, 0, 1); }

void mutex_unlock(struct mutex *mutex) {
  if (atomic_exchange(&mutex->state, 0) == 2) sys_futex_wake(&mutex->state, 1);
}

void condition_wait(struct condition *condition, struct mutex *mutex) {
  u32 sequence = atomic_load(&condition->sequence);
  mutex_unlock(mutex);
  sys_futex_wait(&condition->sequence, sequence, NULL);
  mutex_lock(mutex);
}

void condition_signal(struct condition *condition) {
  atomic_add(&condition->sequence, 1);
  sys_futex_wake(&condition->sequence, 1);
}

void condition_broadcast(struct condition *condition) {
  atomic_add(&condition->sequence, 1);
  sys_futex_wake(&condition->sequence, 0x7fffffff);
}

void barrier_wait(struct barrier *barrier) {
  u32 generation = atomic_load(&barrier->generation);
  if (atomic_add(&barrier->arrived, 1) + 1 == barrier->parties) {
    atomic_store(&barrier->arrived, 0);
    atomic_store(&barrier->generation, generation + 1);
    sys_futex_wake(&barrier->generation, 0x7fffffff);
    return;
  }
  while (atomic_load(&barrier->generation) == generation) sys_futex_wait(&barrier->generation, generation, NULL);
}

void gate_open(struct gate *gate) {
  atomic_store(&gate->opened, 1);
  sys_futex_wake(&gate->opened, 0x7fffffff);
}

void gate_wait(struct gate *gate) {
  while (!atomic_load(&gate->opened)) sys_futex_wait(&gate->opened, 0, NULL);
}

bool gate_is_open(struct gate *gate) { return atomic_load(&gate->opened) != 0; }
