/*
 * The vDSO of the `vdso` ABI: one page, mapped read and execute, its address in AT_SYSINFO_EHDR. Contract in europa/vdso.h.
 * Runs on the caller's rights and stack; the window between reading the map and WRPKRU is part of the design it implements.
 */
#include "europa/vdso.h"

static bool registered(const struct pkey_area *area) { return area && READ_ONCE(area->magic) == PKEY_AREA_MAGIC; }

static bool allocated(const struct pkey_area *area, int key) { return READ_ONCE(area->allocation_map) >> key & 1; }

__attribute__((visibility("default"))) int __vdso_pkey_get(int key, const struct pkey_area *area) {
  if (!registered(area)) return (int)sys_pkey_get(key, 0);
  if (key < 0 || key >= KEY_COUNT) return -EINVAL;
  if (!allocated(area, key)) return -EBADF;
  return (int)pkru_rights(rdpkru(), key);
}

__attribute__((visibility("default"))) int __vdso_pkey_set(int key, u32 rights, struct pkey_area *area) {
  if (!registered(area)) return (int)sys_pkey_set(key, rights, 0);
  if (rights > (PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE) || key < 0 || key >= KEY_COUNT) return -EINVAL;
  if (!allocated(area, key)) return -EBADF;
  wrpkru(pkru_with(rdpkru(), key, rights));
  WRITE_ONCE(area->rights[key], (u8)rights);
  return 0;
}
