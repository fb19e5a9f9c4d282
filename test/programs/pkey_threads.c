/*
 * argv[1] threads (4), argv[2] faults each (3000). PKRU is each thread's own: children inherit it, nobody else's WRPKRU
 * shows; every denied access faults exactly once, with the right code, key, address and error code; none is lost.
 */
#include "pkeys.h"
#include <pthread.h>
#include <stdatomic.h>

enum { MAX = 64 };
static char *pages;
static int keys[16], key_count, threads, faults;
static pthread_barrier_t barrier;
static _Thread_local struct { char *address; unsigned key, error; int code; long long count, wrong; } expected;

static void on_fault(int signal, siginfo_t *info, void *context) {
  expected.count++;
  if (signal != SIGSEGV || info->si_code != expected.code || (char *)info->si_addr != expected.address || fault_key(info) != expected.key ||
      *greg(context, GREG_ERR) != expected.error || *greg(context, GREG_TRAPNO) != 14 || rights_of(frame_pkru(context), (int)expected.key) == 0)
    expected.wrong++;
  if (!end_probe(context, info, 1)) _exit(99);
}

static void *child(void *argument) { return (void *)(uintptr_t)(rdpkru() ^ (unsigned)(uintptr_t)argument); }

typedef struct { int id; long long caught, wrong, passed, foreign, not_inherited; } Result;
static Result results[MAX];

static void *work(void *argument) {
  Result *mine = argument;
  int own = keys[mine->id % key_count];
  uint64_t state = (uint64_t)mine->id + 99;
  /* Only the own key is open. */
  unsigned closed = 0x55555554, open_ = closed & ~(3u << 2 * own);
  wrpkru(open_);
  pthread_t thread;
  void *difference;
  pthread_create(&thread, 0, child, (void *)(uintptr_t)open_);
  pthread_join(thread, &difference);
  mine->not_inherited = difference != 0;
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < faults;) {
    uint64_t r = next_random(&state);
    int target = (int)(r % (unsigned)key_count), write = (int)(r >> 20 & 1), present = (int)(r >> 21 & 1);
    char *p = pages + (target * 2 + present) * P + (r >> 30) % P;
    expected.address = p, expected.key = (unsigned)keys[target], expected.code = CODE_PKUERR;
    /* PK is only reported for a translated page; the first page of each pair is present, the second was never touched. */
    expected.error = 4u | (write ? 2 : 0) | (present ? 0 : 0x21);
    long long before = expected.count;
    unsigned rights = (unsigned)(r >> 50) & 3;
    if (keys[target] == own) {
      if (present) continue; /* An allowed access would make the page present. */
      set_rights(own, rights);
    } else {
      rights = 1;
    }
    long result = write ? probe_write(p) : probe_read(p);
    int denied = rights & 1 || (rights & 2 && write);
    if (result != denied || expected.count - before != denied) expected.wrong++;
    if (denied) i++;
    else mine->passed++;
    unsigned now = rdpkru();
    if (keys[target] == own) {
      if (rights_of(now, own) != rights) mine->foreign++;
      wrpkru(open_);
    } else if (now != open_) {
      mine->foreign++;
    }
  }
  mine->caught = expected.count;
  mine->wrong = expected.wrong;
  return 0;
}

int main(int argc, char **argv) {
  threads = argc > 1 ? atoi(argv[1]) : 4;
  faults = argc > 2 ? atoi(argv[2]) : 3000;
  if (threads < 1 || threads > MAX) return 2;
  require_pkeys();
  handle(SIGSEGV, on_fault, 0);
  while (key_count < 15 && (keys[key_count] = key_alloc(0, 0)) >= 0) key_count++;
  pages = new_pages(2 * key_count);
  for (int i = 0; i < key_count; i++) {
    pages[i * 2 * P] = 1;
    key_mprotect(pages + i * 2 * P, 2 * P, RW, keys[i]);
  }
  pthread_barrier_init(&barrier, 0, (unsigned)threads);
  pthread_t handles[MAX];
  for (int i = 0; i < threads; i++) results[i].id = i, pthread_create(&handles[i], 0, work, &results[i]);
  long long caught = 0, wrong = 0, passed = 0, foreign = 0, not_inherited = 0;
  for (int i = 0; i < threads; i++) {
    pthread_join(handles[i], 0);
    caught += results[i].caught, wrong += results[i].wrong, passed += results[i].passed, foreign += results[i].foreign, not_inherited += results[i].not_inherited;
  }
  printf("threads %d keys %d: faults %lld, wrong %lld, foreign PKRU %lld, not inherited %lld, allowed accesses %d\n", threads, key_count, caught, wrong, foreign, not_inherited, passed > 0);
  return wrong || foreign || not_inherited;
}
