#include "europa.h"

struct elf_header {
  u8 ident[16];
  u16 type, machine;
  u32 version;
  u64 entry, program_headers, section_headers;
  u32 flags;
  u16 header_bytes, program_header_bytes, program_header_count;
};

struct elf_program_header {
  u32 type, flags;
  u64 offset, address, physical, file_bytes, memory_bytes, alignment;
};

struct elf_dynamic {
  i64 tag;
  u64 value;
};

struct elf_symbol {
  u32 name;
  u8 info, other;
  u16 section;
  u64 value, bytes;
};

enum { PT_LOAD = 1, PT_DYNAMIC = 2, DT_HASH = 4, DT_STRTAB = 5, DT_SYMTAB = 6 };

void *vdso_symbol(const char *name) {
  const u8 *image = (const u8 *)auxv(AT_SYSINFO_EHDR);
  if (!image) return NULL;
  const struct elf_header *header = (const void *)image;
  const struct elf_program_header *segment = (const void *)(image + header->program_headers);
  const struct elf_dynamic *dynamic = NULL;
  const u8 *bias = image;
  for (int i = 0; i < header->program_header_count; i++) {
    if (segment[i].type == PT_LOAD && segment[i].offset == 0) bias = image - segment[i].address;
    if (segment[i].type == PT_DYNAMIC) dynamic = (const void *)(image + segment[i].offset);
  }
  const struct elf_symbol *symbols = NULL;
  const char *strings = NULL;
  const u32 *hash = NULL;
  for (; dynamic && dynamic->tag; dynamic++) {
    const u8 *address = bias + dynamic->value;
    if (dynamic->tag == DT_SYMTAB) symbols = (const void *)address;
    if (dynamic->tag == DT_STRTAB) strings = (const char *)address;
    if (dynamic->tag == DT_HASH) hash = (const void *)address;
  }
  if (!symbols || !strings || !hash) return NULL;
  u32 count = hash[1]; /* nchain: the number of symbols */
  for (u32 i = 0; i < count; i++)
    if (symbols[i].section != 0 && same(strings + symbols[i].name, name)) return (void *)(bias + symbols[i].value);
  return NULL;
}

typedef int (*vdso_get)(int key, const struct pkey_area *area);
typedef int (*vdso_set)(int key, u32 rights, struct pkey_area *area);

static struct {
  bool looked; /* set last: a thread that sees it sees the others */
  vdso_get get;
  vdso_set set;
} vdso;

static void look_up(void) {
  if (atomic_load(&vdso.looked)) return;
  vdso.get = (vdso_get)vdso_symbol("__vdso_pkey_get");
  vdso.set = (vdso_set)vdso_symbol("__vdso_pkey_set");
  atomic_store(&vdso.looked, true);
}

long vdso_register(struct pkey_area *area) {
  look_up();
  long result = sys_pkey_area(area, sizeof *area, 0);
  if (!is_error(result)) thread_self()->area = area;
  return result;
}

long vdso_pkey_get(int key) {
  look_up();
  return vdso.get ? vdso.get(key, thread_self()->area) : sys_pkey_get(key, 0);
}

long vdso_pkey_set(int key, u32 rights) {
  look_up();
  return vdso.set ? vdso.set(key, rights, thread_self()->area) : sys_pkey_set(key, rights, 0);
}
