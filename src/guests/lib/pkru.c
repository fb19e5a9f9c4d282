#include "europa.h"

bool have_pku(void) { return cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ecx & 1u << 4); }

bool have_xsave(void) { return cpuid(1, 0).ecx & 1u << 27; }

u32 xsave_pkru_offset(void) {
  static u32 known; /* the same for every thread: a race writes the same value */
  if (!READ_ONCE(known) && cpuid(0, 0).eax >= 0xd) {
    struct cpuid leaf = cpuid(0xd, 9);
    if (leaf.eax >= 4) WRITE_ONCE(known, leaf.ebx);
  }
  return READ_ONCE(known);
}
