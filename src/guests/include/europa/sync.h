/* Mutex, condition, barrier and one-shot gate on futex. None of them spins. All are ready to use when zero. */
#ifndef EUROPA_SYNC_H
#define EUROPA_SYNC_H

#include "types.h"

/* 0 free, 1 held, 2 held and perhaps waited for (Drepper, "Futexes Are Tricky", mutex2). */
struct mutex {
  u32 state;
};
void mutex_lock(struct mutex *mutex);
bool mutex_try_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

/* Waits may wake for no reason: test the condition in a loop. */
struct condition {
  u32 sequence;
};
void condition_wait(struct condition *condition, struct mutex *mutex);
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);

/* `parties` threads meet; may be used again and again. */
struct barrier {
  u32 parties;
  u32 arrived;
  u32 generation;
};
void barrier_wait(struct barrier *barrier);

/* Shut until gate_open; everything before gate_open is visible behind gate_wait. */
struct gate {
  u32 opened;
};
void gate_open(struct gate *gate);
void gate_wait(struct gate *gate);
bool gate_is_open(struct gate *gate);

#endif
