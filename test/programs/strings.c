/* String and memory functions over all sizes and alignments, against plain loops, with an unmapped page right behind. */
#include "test.h"
#include <ctype.h>
#include <sys/mman.h>
#include <wchar.h>

enum { PAGE = 4096, AREA = 2 * PAGE };
static unsigned char *edge_a, *edge_b; /* end of AREA bytes; the next page can't be touched */
static long wrong, done;

static unsigned char *guarded(void) {
  unsigned char *area = mmap(0, AREA + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(area + AREA, PAGE, PROT_NONE);
  return area + AREA;
}

static void expect(int holds) { done++, wrong += !holds; }
static int sign(int x) { return (x > 0) - (x < 0); }

static void one(size_t n, size_t gap_a, size_t gap_b) {
  unsigned char *a = edge_a - n - 1 - gap_a, *b = edge_b - n - 1 - gap_b;
  for (size_t i = 0; i < n; i++) a[i] = (unsigned char)('a' + (i * 7 + n) % 23);
  a[n] = 0;
  memset(b, '#', n + 1);
  expect(strlen((char *)a) == n && strnlen((char *)a, n / 2) == n / 2);
  expect(memcpy(b, a, n + 1) == b && memcmp(a, b, n + 1) == 0 && strcmp((char *)a, (char *)b) == 0);
  memset(b, '#', n + 1);
  expect(strcpy((char *)b, (char *)a) == (char *)b && strcmp((char *)b, (char *)a) == 0 && strncmp((char *)b, (char *)a, n) == 0);
  expect(stpcpy((char *)b, (char *)a) == (char *)b + n);
  expect(strchr((char *)a, 0) == (char *)a + n && memchr(a, 'Z', n + 1) == 0 && strchr((char *)a, 'Z') == 0);
  for (size_t k = 0; k < n; k += n > 70 ? 37 : 5) {
    unsigned char kept = a[k];
    a[k] = 'Z';
    expect(memchr(a, 'Z', n) == a + k && strchr((char *)a, 'Z') == (char *)a + k && strrchr((char *)a, 'Z') == (char *)a + k);
    expect(memrchr(a, 'Z', n) == a + k && strchrnul((char *)a, 'Z') == (char *)a + k);
    expect(sign(memcmp(a, b, n)) == sign('Z' - kept) && sign(strcmp((char *)a, (char *)b)) == sign('Z' - kept));
    expect(sign(strncmp((char *)a, (char *)b, k + 1)) == sign('Z' - kept) && strncmp((char *)a, (char *)b, k) == 0);
    expect(strcspn((char *)a, "YZ") == k && strpbrk((char *)a, "ZX") == (char *)a + k && strspn((char *)a + k, "Z") == 1);
    a[k] = kept;
    unsigned char zero = a[k];
    a[k] = 0;
    expect(strlen((char *)a) == k && strnlen((char *)a, n) == k);
    a[k] = zero;
  }
  memset(b, 0x5a, n);
  for (size_t i = 0; i < n; i++) expect(b[i] == 0x5a);
  for (size_t shift = 1; shift < 40 && shift < n; shift += 7) {
    for (size_t i = 0; i < n; i++) b[i] = (unsigned char)(i * 31);
    memmove(b + shift, b, n - shift);
    for (size_t i = shift; i < n; i++) expect(b[i] == (unsigned char)((i - shift) * 31));
    for (size_t i = 0; i < n; i++) b[i] = (unsigned char)(i * 31);
    memmove(b, b + shift, n - shift);
    for (size_t i = 0; i < n - shift; i++) expect(b[i] == (unsigned char)((i + shift) * 31));
  }
}

int main(void) {
  edge_a = guarded(), edge_b = guarded();
  for (size_t n = 0; n <= 140; n++)
    for (size_t gap = 0; gap < 36; gap += n < 40 ? 1 : 5) one(n, gap, (gap * 11 + n) % 33);
  static const size_t sizes[] = {255, 256, 257, 511, 513, 1000, 2047, 2048, 2049, 4095, 4096, 4097, 8000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (size_t gap = 0; gap < 34; gap += 3) one(sizes[i], gap, (gap * 5) % 32);
  printf("done %ld wrong %ld\n", done, wrong);

  char text[400] = "the needle in the haystack, the other needle in the other haystack";
  printf("%s|%s|%s\n", strstr(text, "needle"), strstr(text, "needle in the other"), strstr(text, "absent") ? "found" : "absent");
  printf("%s|%s\n", (char *)memmem(text, strlen(text), "other h", 7), strcasestr(text, "HAYSTACK,"));
  char pattern[64], long_text[3000];
  for (int n = 1; n < 60; n++) {
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    memset(pattern, 'a', (size_t)n);
    pattern[n] = 0;
    pattern[n - 1] = 'b';
    memcpy(long_text + 2000 + n, pattern, (size_t)n);
    wrong += strstr(long_text, pattern) != long_text + 2000 + n;
  }
  printf("strstr wrong %ld\n", wrong);
  char copy[400];
  strcpy(copy, text);
  for (char *save, *word = strtok_r(copy, " ,", &save); word; word = strtok_r(0, " ,", &save)) printf("<%s>", word);
  putchar('\n');
  strcpy(copy, "ab:cd::ef");
  for (char *rest = copy, *field; (field = strsep(&rest, ":"));) printf("<%s>", field);
  putchar('\n');
  printf("%d %d %d\n", sign(strcasecmp("HeLLo", "hEllO")), sign(strncasecmp("abcX", "ABCy", 3)), sign(strverscmp("a9", "a10")));
  strcat(strcpy(copy, "one"), " two");
  strncat(copy, " three four", 6);
  printf("%s %zu\n", copy, strlen(copy));
  strncpy(copy, "abc", 8);
  printf("%d %d\n", copy[3], copy[7]);
  wchar_t wide[200];
  for (int i = 0; i < 199; i++) wide[i] = L'a' + i % 20;
  wide[199] = 0;
  printf("%zu %d %d %d\n", wcslen(wide), (int)(wcschr(wide, L'k') - wide), (int)(wmemchr(wide, L't', 199) - wide), sign(wcscmp(wide, wide + 20)));
  for (int c = 0; c < 128; c++) putchar('0' + !!isalpha(c) + 2 * !!isdigit(c) + 4 * !!isspace(c));
  putchar('\n');
  for (int e = 0; e < 40; e++) printf("%s;", strerror(e));
  printf("%s\n", strsignal(11));
  return wrong != 0;
}
