/*
 * Compresses 1 MiB of made-up text and takes it apart again, the way deflate does it: LZ77 over a 32 KiB window with hash
 * chains, then a length-limited canonical Huffman code for literals, lengths and distances. The format is our own.
 */
#include "bench.h"

enum { SIZE = 1 << 20, WINDOW = 32768, MIN_MATCH = 4, MAX_MATCH = 258, CHAIN = 32, HASH_BITS = 15 };
enum { LITERALS = 256 + 1 + 16, DISTANCES = 16, MAX_BITS = 15 };

typedef struct { unsigned char length[LITERALS]; uint16_t code[LITERALS]; int size; } Code;
typedef struct { uint16_t value, distance; } Token; /* distance 0: value is a literal; else value is a length */

static unsigned char *text, *packed, *unpacked;
static Token *tokens;
static int token_count;
static uint64_t bit_buffer;
static int bit_count;
static size_t position;

static void generate(void) {
  static char words[400][12];
  uint64_t state = 1234567;
  for (int i = 0; i < 400; i++) {
    int length = 2 + (int)(next_random(&state) % 9);
    for (int j = 0; j < length; j++) words[i][j] = (char)('a' + next_random(&state) % 26);
  }
  for (int i = 0; i < SIZE;) {
    uint64_t r = next_random(&state);
    const char *word = words[(r & 0xffff) * ((r >> 16) & 0xffff) % 65536 * 400 / 65536];
    while (*word && i < SIZE) text[i++] = (unsigned char)*word++;
    if (i < SIZE) text[i++] = (r >> 40) % 12 ? ' ' : '\n';
  }
}

static void find_matches(void) {
  int *head = malloc(sizeof(int) << HASH_BITS), *previous = malloc(sizeof(int) * SIZE);
  memset(head, -1, sizeof(int) << HASH_BITS);
  for (int i = 0; i < SIZE;) {
    int best = 0, best_at = 0, span = 1;
    if (i + MIN_MATCH <= SIZE) {
      uint32_t four;
      memcpy(&four, text + i, 4);
      uint32_t hash = four * 2654435761u >> (32 - HASH_BITS);
      int limit = SIZE - i < MAX_MATCH ? SIZE - i : MAX_MATCH, chain = CHAIN;
      for (int c = head[hash]; c >= 0 && i - c <= WINDOW && chain--; c = previous[c]) {
        int n = 0;
        while (n < limit && text[c + n] == text[i + n]) n++;
        if (n > best) best = n, best_at = c;
      }
    }
    if (best >= MIN_MATCH) {
      tokens[token_count++] = (Token){(uint16_t)best, (uint16_t)(i - best_at)};
      span = best;
    } else {
      tokens[token_count++] = (Token){text[i], 0};
    }
    for (; span--; i++) {
      if (i + MIN_MATCH > SIZE) continue;
      uint32_t four;
      memcpy(&four, text + i, 4);
      uint32_t hash = four * 2654435761u >> (32 - HASH_BITS);
      previous[i] = head[hash];
      head[hash] = i;
    }
  }
  free(head);
  free(previous);
}

static int log2_of(unsigned x) { return 31 - __builtin_clz(x); }

/* Code lengths from frequencies by repeated joining of the two rarest; frequencies are halved until none is too long. */
static void build(Code *code, const unsigned *frequency, int size) {
  unsigned weight[2 * LITERALS];
  int parent[2 * LITERALS];
  unsigned scaled[LITERALS];
  memcpy(scaled, frequency, size * sizeof *scaled);
  code->size = size;
  for (int longest = MAX_BITS + 1; longest > MAX_BITS;) {
    int alive[LITERALS], count = 0, next = size;
    for (int i = 0; i < size; i++)
      if (scaled[i]) weight[i] = scaled[i], alive[count++] = i;
    while (count > 1) {
      for (int pick = 0; pick < 2; pick++) {
        int least = pick;
        for (int i = pick; i < count; i++)
          if (weight[alive[i]] < weight[alive[least]]) least = i;
        int swap = alive[pick];
        alive[pick] = alive[least];
        alive[least] = swap;
      }
      weight[next] = weight[alive[0]] + weight[alive[1]];
      parent[alive[0]] = parent[alive[1]] = next;
      alive[0] = next++;
      alive[1] = alive[--count];
    }
    int root = count ? alive[0] : -1;
    longest = 0;
    for (int i = 0; i < size; i++) {
      int depth = 0;
      if (scaled[i])
        for (int n = i; n != root; n = parent[n]) depth++;
      if (scaled[i] && !depth) depth = 1;
      code->length[i] = (unsigned char)depth;
      if (depth > longest) longest = depth;
      scaled[i] = scaled[i] ? (scaled[i] >> 1) + 1 : 0;
    }
  }
  unsigned next_code = 0;
  for (int bits = 1; bits <= MAX_BITS; bits++) {
    for (int i = 0; i < size; i++)
      if (code->length[i] == bits) {
        unsigned reversed = 0;
        for (int b = 0; b < bits; b++) reversed |= (next_code >> b & 1) << (bits - 1 - b);
        code->code[i] = (uint16_t)reversed;
        next_code++;
      }
    next_code <<= 1;
  }
}

static void put(unsigned value, int bits) {
  bit_buffer |= (uint64_t)value << bit_count;
  bit_count += bits;
  for (; bit_count >= 8; bit_count -= 8, bit_buffer >>= 8) packed[position++] = (unsigned char)bit_buffer;
}

static unsigned get(int bits) {
  while (bit_count < bits) bit_buffer |= (uint64_t)packed[position++] << bit_count, bit_count += 8;
  unsigned value = (unsigned)(bit_buffer & ((1u << bits) - 1));
  bit_buffer >>= bits;
  bit_count -= bits;
  return value;
}

/* Lengths and distances: the code carries floor(log2), the bits below it follow as they are. */
static size_t compress(Code *literal, Code *distance) {
  unsigned literals[LITERALS] = {0}, distances[DISTANCES] = {0};
  literals[256] = 1;
  for (int i = 0; i < token_count; i++) {
    if (!tokens[i].distance) literals[tokens[i].value]++;
    else literals[257 + log2_of(tokens[i].value)]++, distances[log2_of(tokens[i].distance)]++;
  }
  build(literal, literals, LITERALS);
  build(distance, distances, DISTANCES);
  position = 0, bit_buffer = 0, bit_count = 0;
  for (int i = 0; i < token_count; i++) {
    Token t = tokens[i];
    int symbol = t.distance ? 257 + log2_of(t.value) : t.value;
    put(literal->code[symbol], literal->length[symbol]);
    if (!t.distance) continue;
    put(t.value - (1u << log2_of(t.value)), log2_of(t.value));
    put(distance->code[log2_of(t.distance)], distance->length[log2_of(t.distance)]);
    put(t.distance - (1u << log2_of(t.distance)), log2_of(t.distance));
  }
  put(literal->code[256], literal->length[256]);
  put(0, 15);
  return position;
}

static void fill_lookup(const Code *code, uint16_t *lookup) {
  for (int i = 0; i < code->size; i++)
    if (code->length[i])
      for (unsigned high = 0; high < 1u << (MAX_BITS - code->length[i]); high++)
        lookup[high << code->length[i] | code->code[i]] = (uint16_t)i;
}

static int decode(const Code *code, const uint16_t *lookup) {
  while (bit_count < MAX_BITS) bit_buffer |= (uint64_t)packed[position++] << bit_count, bit_count += 8;
  int symbol = lookup[bit_buffer & ((1 << MAX_BITS) - 1)];
  bit_buffer >>= code->length[symbol];
  bit_count -= code->length[symbol];
  return symbol;
}

static size_t decompress(const Code *literal, const Code *distance) {
  static uint16_t literal_lookup[1 << MAX_BITS], distance_lookup[1 << MAX_BITS];
  fill_lookup(literal, literal_lookup);
  fill_lookup(distance, distance_lookup);
  position = 0, bit_buffer = 0, bit_count = 0;
  size_t out = 0;
  for (;;) {
    int symbol = decode(literal, literal_lookup);
    if (symbol == 256) return out;
    if (symbol < 256) {
      unpacked[out++] = (unsigned char)symbol;
      continue;
    }
    unsigned length = (1u << (symbol - 257)) + get(symbol - 257);
    int logarithm = decode(distance, distance_lookup);
    unsigned back = (1u << logarithm) + get(logarithm);
    for (; length--; out++) unpacked[out] = unpacked[out - back];
  }
}

int main(void) {
  text = malloc(SIZE), packed = calloc(1, SIZE * 2), unpacked = malloc(SIZE + MAX_MATCH), tokens = malloc(SIZE * sizeof *tokens);
  generate();
  static Code literal, distance;
  int64_t start = nanoseconds();
  find_matches();
  size_t size = compress(&literal, &distance);
  int64_t middle = nanoseconds();
  for (int i = 0; i < 4; i++)
    if (decompress(&literal, &distance) != SIZE || memcmp(text, unpacked, SIZE)) return puts("does not round-trip"), 1;
  int64_t end = nanoseconds();
  uint32_t check = 0;
  for (size_t i = 0; i < size; i++) check = check * 31 + packed[i];
  printf("%zu bytes, %d tokens, %08x\n", size, token_count, check);
  report("compress", middle - start, 1);
  report("decompress", end - middle, 1);
  return 0;
}
