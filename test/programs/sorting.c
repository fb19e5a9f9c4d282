/* qsort, bsearch, tsearch, hsearch-like use of the heap: results and call counts don't depend on the machine. */
#include "test.h"
#include <search.h>

typedef struct { uint32_t key; char payload[27]; } __attribute__((packed)) Record;
static int by_key(const void *a, const void *b) {
  const Record *x = a, *y = b;
  return x->key < y->key ? -1 : x->key > y->key;
}
static int by_double(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static unsigned visited;
static uint64_t walk_digest;
static void visit(const void *node, VISIT which, int depth) {
  (void)depth;
  if (which == postorder || which == leaf) visited++, walk_digest = walk_digest * 31 + (*(Record *const *)node)->key;
}

int main(void) {
  uint64_t state = 1;
  for (int count = 0; count <= 20000; count = count * 3 + 1) {
    Record *records = calloc((size_t)count + 1, sizeof *records);
    double *doubles = calloc((size_t)count + 1, sizeof *doubles);
    char **texts = calloc((size_t)count + 1, sizeof *texts);
    for (int i = 0; i < count; i++) {
      records[i].key = (uint32_t)next_random(&state);
      sprintf(records[i].payload, "p%u", records[i].key);
      doubles[i] = (double)(int64_t)next_random(&state) / 1e6;
      texts[i] = malloc(20);
      sprintf(texts[i], "%llx", (unsigned long long)next_random(&state));
    }
    qsort(records, (size_t)count, sizeof *records, by_key);
    qsort(doubles, (size_t)count, sizeof *doubles, by_double);
    qsort(texts, (size_t)count, sizeof *texts, by_text);
    int wrong = 0;
    uint64_t digest = 0;
    for (int i = 0; i < count; i++) {
      char payload[27];
      sprintf(payload, "p%u", records[i].key);
      wrong += strcmp(payload, records[i].payload) != 0;
      if (i) wrong += records[i - 1].key > records[i].key || doubles[i - 1] > doubles[i] || strcmp(texts[i - 1], texts[i]) > 0;
      digest = digest * 31 + records[i].key + (uint64_t)texts[i][0];
      if (i % 7 == 0) wrong += bsearch(&records[i], records, (size_t)count, sizeof *records, by_key) == 0;
    }
    void *root = 0;
    visited = 0, walk_digest = 0;
    for (int i = 0; i < count; i += 5) tsearch(&records[(i * 7919) % count], &root, by_key);
    twalk(root, visit);
    printf("%d: wrong %d digest %016llx tree %u %016llx\n", count, wrong, (unsigned long long)digest, visited, (unsigned long long)walk_digest);
    while (root) tdelete(*(void **)root, &root, by_key);
    for (int i = 0; i < count; i++) free(texts[i]);
    free(texts);
    free(doubles);
    free(records);
  }
  /* The heap: sizes from tiny to mmapped, contents kept over realloc. */
  enum { SLOTS = 200 };
  unsigned char *slot[SLOTS] = {0};
  size_t size[SLOTS] = {0};
  int wrong = 0;
  for (int i = 0; i < 20000; i++) {
    int s = (int)(next_random(&state) % SLOTS);
    size_t want = next_random(&state) % (i % 50 == 0 ? 300000 : 2000) + 1;
    for (size_t k = 0; k < size[s]; k += 97) wrong += slot[s][k] != (unsigned char)(s + k);
    unsigned char *moved = realloc(slot[s], want);
    for (size_t k = 0; k < size[s] && k < want; k += 97) wrong += moved[k] != (unsigned char)(s + k);
    for (size_t k = 0; k < want; k += 97) moved[k] = (unsigned char)(s + k);
    slot[s] = moved, size[s] = want;
    if (i % 3 == 0) free(slot[s]), slot[s] = 0, size[s] = 0;
  }
  printf("heap: wrong %d\n", wrong);
  void *aligned = 0;
  for (size_t a = 16; a <= 65536; a *= 4) {
    if (posix_memalign(&aligned, a, 100)) puts("posix_memalign failed");
    printf("aligned to %zu: %d\n", a, (uintptr_t)aligned % a == 0);
    free(aligned);
  }
  return 0;
}
