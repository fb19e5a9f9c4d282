/* Page-fault storm: map pages, touch each, unmap them. One operation is one page. */
#include "europa.h"

#include "europa/scale.h"

enum { PAGES = 64 };

static u32 batch(u32 thread) {
  (void)thread;
  u8 *pages = map_pages(PAGES);
  for (u32 i = 0; i < PAGES; i++) WRITE_ONCE(pages[i * PAGE_SIZE], 1);
  long result = sys_munmap(pages, PAGES * PAGE_SIZE);
  if (is_error(result)) die("munmap", result);
  return PAGES;
}

int main(int argc, char **argv) { return scale(argc, argv, &(struct scale_workload){.batch = batch}); }
