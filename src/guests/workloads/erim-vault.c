/*
 * A server after ERIM (Vahldiek-Oberwagner et al., USENIX Security 2019): one worker thread per key, a vault page under that key,
 * and call gates that open it by WRPKRU and check what they wrote. Clients pass an index; the first words of a vault are public,
 * then comes the secret. The faulty twin checks the index and reads it again inside the gate, and a client that changes it in
 * between gets the secret. Corrected: it is read once. Either twin also fails when the client can read a vault directly.
 *
 *   erim-vault [faulty|fixed] [WORKERS=2]
 */
#include "europa.h"

enum { MAX_WORKERS = 13, PUBLIC_WORDS = 8, SECRET_INDEX = PUBLIC_WORDS };
struct worker {
  int key;
  u64 *vault;
  struct gate posted;
  u32 index; /* the client's memory */
  u64 answer;
  struct thread *thread;
};
static struct worker workers[MAX_WORKERS];
static bool fixed;

static inline __attribute__((always_inline)) void pass_gate(u32 pkru) {
  /* The comparison is ERIM's: code that jumps to the WRPKRU with a value of its own choice does not get past it. */
  wrpkru(pkru);
  u32 now = rdpkru();
  if (__builtin_expect(now != pkru, 0)) die("gate", now);
}

static long serve(void *argument) {
  struct worker *self = argument;
  u32 outside = rdpkru(), inside = pkru_with(outside, self->key, 0);
  gate_wait(&self->posted);
  u32 index = READ_ONCE(self->index);
  if (index >= PUBLIC_WORDS) return 0;
  pass_gate(inside);
  self->answer = self->vault[fixed ? index : READ_ONCE(self->index)];
  pass_gate(outside);
  return 0;
}

int main(int argc, char **argv) {
  fixed = wants_fixed(argc, argv);
  u32 count = (u32)argument(argc, argv, 2, 2);
  if (count < 1 || count > MAX_WORKERS) return EXIT_USAGE;
  need_keys();
  catch_faults();
  for (u32 i = 0; i < count; i++) {
    workers[i].vault = map_pages(1);
    workers[i].vault[SECRET_INDEX] = SECRET;
    workers[i].key = must_take_key(PKEY_DISABLE_ACCESS);
    tag_page(workers[i].vault, workers[i].key);
  }
  for (u32 i = 0; i < count; i++) workers[i].thread = thread_start(serve, &workers[i]);
  for (u32 i = 0; i < count; i++) {
    gate_open(&workers[i].posted);
    WRITE_ONCE(workers[i].index, SECRET_INDEX); /* the attack */
  }
  bool direct = reads_secret(&workers[0].vault[SECRET_INDEX]);
  u32 leaked = 0;
  for (u32 i = 0; i < count; i++) {
    thread_join(workers[i].thread);
    if (workers[i].answer == SECRET) leaked |= 1u << i;
  }
  if (direct) return failed("client=read-the-vault key=%d pkru=0x%08x", workers[0].key, rdpkru());
  return leaked ? failed("workers=0x%x answer=secret", leaked) : EXIT_HELD;
}
