#include "europa.h"

bool wants_fixed(int argc, char **argv) {
  if (argc < 2 || same(argv[1], "faulty")) return false;
  if (same(argv[1], "fixed")) return true;
  report("error=usage detail=faulty-or-fixed argument=%s", argv[1]);
  exit(EXIT_USAGE);
}

int failed(const char *format, ...) {
  char detail[400];
  va_list arguments;
  va_start(arguments, format);
  format_va(detail, sizeof detail, format, arguments);
  va_end(arguments);
  report("check=failed %s", detail);
  return EXIT_FAILED;
}

u64 *secret_page(void) {
  u64 *page = map_pages(1);
  page[0] = SECRET;
  return page;
}

bool reads_secret(const u64 *page) {
  u64 value = 0;
  return try_read(page, &value, NULL) && value == SECRET;
}

void tag_page(void *page, int key) {
  long result = sys_pkey_mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE, key);
  if (is_error(result)) die("pkey_mprotect", result);
}

int must_take_key(u32 rights) {
  int key = take_key(rights);
  if (key < 0) die("no-key", key);
  return key;
}

int must_alloc_key(u32 rights) {
  long key = sys_pkey_alloc(0, rights);
  if (key == -ENOSYS) skip("no-pkey_alloc");
  if (key < 0) die("pkey_alloc", key);
  return (int)key;
}
