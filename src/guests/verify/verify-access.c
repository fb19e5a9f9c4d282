/* What the processor does with PKRU: properties 1, 2, 3 and 7 (pkey-abis A). */
#include "europa.h"

#include "europa/verify.h"

enum { RET = 0xc3, ALL_KEYS = 16, SIGSTACK_PAGES = 4 };

/* Error code of a denial on a present page. */
static u32 denied(bool write) { return PF_PRESENT | PF_USER | PF_PK | (write ? PF_WRITE : 0); }

/*
 * Accesses with key 0 denied must not touch the stack: one access between two WRPKRU, registers only. The handler cannot use the
 * interrupted stack either: it runs on a page of another key, opens all keys before its first access, and lets the access answer 0.
 */
asm(".pushsection .text.key0_access,\"ax\",@progbits\n"
    ".type key0_access,@function\n"
    "key0_access:\n" /* (address, pkru, write) */
    "  mov %edx, %r8d\n"
    "  mov %esi, %eax\n"
    "  xor %ecx, %ecx\n"
    "  xor %edx, %edx\n"
    "  wrpkru\n"
    "  test %r8d, %r8d\n"
    "  jnz 1f\n"
    "  mov (%rdi), %r9\n"
    "  jmp 2f\n"
    "1: mov %r9, (%rdi)\n"
    "2: xor %eax, %eax\n"
    "  wrpkru\n"
    "  mov $1, %eax\n"
    "  ret\n"
    "key0_denied:\n"
    "  xor %eax, %eax\n"
    "  ret\n"
    ".size key0_access, .-key0_access\n"
    ".type key0_handler,@function\n"
    "key0_handler:\n"
    "  mov %rdx, %r8\n"
    "  xor %eax, %eax\n"
    "  xor %ecx, %ecx\n"
    "  xor %edx, %edx\n"
    "  wrpkru\n"
    "  mov %r8, %rdx\n"
    "  jmp on_key0_fault\n"
    ".size key0_handler, .-key0_handler\n"
    ".popsection\n");
int key0_access(u64 *address, u32 pkru, int write);
void key0_denied(void);
void key0_handler(int signal, struct siginfo *info, struct ucontext *context);

static struct fault key0_fault;

__attribute__((used)) void on_key0_fault(int signal, struct siginfo *info, struct ucontext *context) {
  key0_fault = (struct fault){.signal = signal,
                              .code = info->code,
                              .address = info->address,
                              .key = info->key,
                              .error = (u32)context->registers[REG_ERROR],
                              .pkru = frame_pkru(context)};
  context->registers[REG_RIP] = (u64)key0_denied;
  frame_set_pkru(context, 0);
}

static u64 tried;

static void judge(int key, u32 pkru, bool write, bool passed, const void *address, const struct fault *fault) {
  u32 rights = pkru_rights(pkru, key);
  bool allowed = !(rights & PKEY_DISABLE_ACCESS) && !(write && (rights & PKEY_DISABLE_WRITE));
  tried++;
  check(passed == allowed, key, write ? "write" : "read", passed ? "passes, PKRU 0x%08x denies" : "fault, PKRU 0x%08x allows",
        pkru);
  if (passed || allowed) return;
  check(fault->code == SEGV_PKUERR && fault->address == (u64)address && fault->key == (u32)key && fault->pkru == pkru &&
            fault->error == denied(write),
        key, write ? "write" : "read", "si_code %d, si_pkey %u, error code 0x%x, PKRU of the frame 0x%08x", fault->code,
        fault->key, fault->error, fault->pkru);
}

/* All rights of one key, others once open and once denied. Keys whose pages the guest needs stay open. */
static void table_of(int key, u64 *page, bool writable) {
  for (u32 rights = 0; rights < 4; rights++)
    for (u32 others = 0; others < 2; others++) {
      u32 pkru = pkru_with(others ? PKRU_ONLY_KEY0 : 0, key, rights);
      struct fault fault = {0};
      bool passed = reads_under(pkru, page, &fault);
      judge(key, pkru, false, passed, page, &fault);
      if (writable) {
        passed = writes_under(pkru, page + 1, &fault);
        judge(key, pkru, true, passed, page + 1, &fault);
      }
    }
}

static void fetch_table(int key, const void *code) {
  for (u32 rights = 0; rights < 4; rights++) {
    u32 before = rdpkru(), pkru = pkru_with(PKRU_ONLY_KEY0, key, rights);
    struct fault fault = {0};
    wrpkru(pkru);
    bool passed = try_exec(code, &fault);
    wrpkru(before);
    tried++;
    check(passed, key, "fetch", "fault with si_code %d, error code 0x%x, PKRU 0x%08x", fault.code, fault.error, pkru);
  }
}

static void table_of_key0(int stack_key) {
  struct {
    void *base;
    i32 flags, padding;
    u64 bytes;
  } stack = {keyed_pages(SIGSTACK_PAGES, stack_key), 0, 0, SIGSTACK_PAGES * PAGE_SIZE}, none = {NULL, 2, 0, 0};
  u32 before = rdpkru();
  u64 *page = map_pages(1);
  page[0] = SECRET;
  syscall2(SYS_sigaltstack, (long)&stack, 0);
  install_handler(SIGSEGV, key0_handler, SA_ONSTACK);
  for (u32 rights = 0; rights < 4; rights++)
    for (int write = 0; write < 2; write++) {
      int passed = key0_access(page, rights, write);
      wrpkru(before);
      judge(0, rights, write, passed, page, &key0_fault);
    }
  syscall2(SYS_sigaltstack, (long)&none, 0);
  catch_faults();
}

/* Index 15 where it is reserved: what it denies is a page that may only be executed. */
static void table_of_execute_only(void) {
  u8 *page = map_pages(1);
  page[0] = RET;
  if (is_error(sys_mprotect(page, PAGE_SIZE, PROT_EXEC))) die("mprotect", 0);
  table_of(15, (u64 *)page, false);
  fetch_table(15, page);
}

static void pkru_table(void) {
  int keys[ALL_KEYS], count = 0, key;
  tried = 0;
  while (count < ALL_KEYS && (key = take_key(0)) > 0) {
    u64 *page = keyed_pages(1, key);
    table_of(key, page, true);
    *(u8 *)page = RET;
    retag(page, 1, PROT_READ | PROT_WRITE | PROT_EXEC, key);
    fetch_table(key, page);
    keys[count++] = key;
  }
  /* Index 15 is the execute-only key of every mm there. */
  bool reserved15 = keys_are_probed() || given.abi == ABI_TASK_BITMAP;
  int expected = keys_are_probed() ? 13 : reserved15 ? 14 : 15;
  check(count == expected, NO_KEY, "take all keys", "%d of %d", count, expected);
  if (count) table_of_key0(keys[0]);
  while (count) return_key(keys[--count]);
  if (reserved15) table_of_execute_only();
  verdict(all_checked(), tried);
}

static void expect_error(const char *what, int key, bool passed, const struct fault *fault, int code, u32 error) {
  tried++;
  check(!passed && fault->code == code && fault->error == error, key, what,
        "si_code %d, error code 0x%x; expected %d, 0x%x", passed ? 0 : fault->code, passed ? 0 : fault->error, code, error);
}

static void pk_bit(void) {
  tried = 0;
  int key = obtain_key();
  u32 open = pkru_with(PKRU_ONLY_KEY0, key, 0), no_write = pkru_with(open, key, PKEY_DISABLE_WRITE), shut = PKRU_ONLY_KEY0;
  u64 *page = keyed_pages(1, key);
  struct fault fault = {0};
  bool passed = reads_under(shut, page, &fault);
  expect_error("read, AD", key, passed, &fault, SEGV_PKUERR, PF_PRESENT | PF_USER | PF_PK);
  passed = writes_under(shut, page, &fault);
  expect_error("write, AD", key, passed, &fault, SEGV_PKUERR, PF_PRESENT | PF_USER | PF_WRITE | PF_PK);
  passed = writes_under(no_write, page, &fault);
  expect_error("write, WD", key, passed, &fault, SEGV_PKUERR, PF_PRESENT | PF_USER | PF_WRITE | PF_PK);
  u32 before = rdpkru();
  wrpkru(open);
  passed = try_exec(page, &fault);
  expect_error("fetch of a page that is not executable", key, passed, &fault, SEGV_ACCERR, PF_PRESENT | PF_USER | PF_FETCH);
  wrpkru(before);
  retag(page, 1, PROT_READ, key);
  passed = writes_under(open, page, &fault);
  expect_error("write to a read-only page, key open", key, passed, &fault, SEGV_ACCERR, PF_PRESENT | PF_USER | PF_WRITE);
  passed = writes_under(no_write, page, &fault);
  expect_error("write to a read-only page, WD", key, passed, &fault, SEGV_PKUERR, PF_PRESENT | PF_USER | PF_WRITE | PF_PK);
  retag(page, 1, PROT_NONE, key);
  passed = reads_under(open, page, &fault);
  tried++;
  check(!passed && fault.code == SEGV_ACCERR && !(fault.error & PF_PK), key, "read of a PROT_NONE page, key open",
        "si_code %d, error code 0x%x", fault.code, fault.error);
  passed = reads_under(shut, page, &fault);
  tried++;
  check(!passed && !(fault.error & PF_PK), key, "read of a PROT_NONE page, AD", "error code 0x%x", fault.error);
  u64 *untouched = map_pages(1);
  retag(untouched, 1, PROT_READ | PROT_WRITE, key);
  passed = reads_under(shut, untouched, &fault);
  expect_error("read of a page not yet present, AD", key, passed, &fault, SEGV_PKUERR, PF_USER);
  passed = writes_under(shut, untouched, &fault);
  expect_error("write of a page not yet present, AD", key, passed, &fault, SEGV_PKUERR, PF_USER | PF_WRITE);
  sys_munmap(page, PAGE_SIZE);
  passed = reads_under(shut, page, &fault);
  expect_error("read without mapping", NO_KEY, passed, &fault, SEGV_MAPERR, PF_USER);
  return_key(key);
  verdict(all_checked(), tried);
}

/* WRPKRU and the access behind it, nothing between; answers the address of the access in *at. */
static void write_pkru_and_read(void *argument) {
  struct {
    u64 *page, *at;
    u32 pkru;
  } *a = argument;
  u64 *at;
  asm volatile("lea 1f(%%rip), %0\n\tmov %0, %1\n\twrpkru\n1:\tmov (%3), %0"
               : "=&r"(at), "=m"(a->at)
               : "a"(a->pkru), "r"(a->page), "c"(0), "d"(0)
               : "memory");
}

static void rdpkru_ecx(void *unused) {
  (void)unused;
  asm volatile("rdpkru" ::"c"(1) : "eax", "edx");
}
static void wrpkru_ecx(void *pkru) { asm volatile("wrpkru" ::"a"((u32)(u64)pkru), "c"(1), "d"(0)); }
static void wrpkru_edx(void *pkru) { asm volatile("wrpkru" ::"a"((u32)(u64)pkru), "c"(0), "d"(1)); }
static void wrpkru_lock(void *pkru) {
  asm volatile(".byte 0xf0, 0x0f, 0x01, 0xef" ::"a"((u32)(u64)pkru), "c"(0), "d"(0));
}
static void rdpkru_lock(void *unused) {
  (void)unused;
  asm volatile(".byte 0xf0, 0x0f, 0x01, 0xee" ::"c"(0) : "eax", "edx");
}

static void expect_exception(const char *what, void (*function)(void *), int signal, u32 trap) {
  struct fault fault = {0};
  u32 before = rdpkru();
  bool passed = guarded(function, (void *)(u64)(before ^ 0x0c000000), &fault);
  tried++;
  check(!passed && fault.signal == signal && fault.trap == trap && rdpkru() == before, NO_KEY, what,
        "signal %d, vector %u, PKRU 0x%08x before", fault.signal, fault.trap, before);
}

enum { IMMEDIATE_ROUNDS = 300 };

static void wrpkru_immediate(void) {
  tried = 0;
  int key = obtain_key();
  u64 *page = keyed_pages(1, key);
  u32 open = pkru_with(PKRU_ONLY_KEY0, key, 0), shut = PKRU_ONLY_KEY0, mine = rdpkru();
  struct {
    u64 *page, *at;
    u32 pkru;
  } a = {page, NULL, 0};
  for (int i = 0; i < IMMEDIATE_ROUNDS && all_checked(); i++) {
    struct fault fault = {0};
    a.pkru = open;
    wrpkru(shut);
    bool passed = guarded(write_pkru_and_read, &a, &fault);
    check(passed, key, "WRPKRU that opens, then read", "fault with error code 0x%x", fault.error);
    a.pkru = shut;
    passed = guarded(write_pkru_and_read, &a, &fault);
    check(!passed && fault.rip == (u64)a.at && fault.address == (u64)page && fault.pkru == shut, key,
          "WRPKRU that shuts, then read", passed ? "passes" : "fault at 0x%lx, expected 0x%lx", fault.rip, (u64)a.at);
    tried += 2;
  }
  wrpkru(mine);
  u64 low = ~0ul, high = ~0ul;
  asm volatile("rdpkru" : "+a"(low), "+d"(high) : "c"(0));
  check(low == mine && high == 0, NO_KEY, "RDPKRU", "RAX 0x%lx, RDX 0x%lx", low, high);
  expect_exception("RDPKRU with ECX 1", rdpkru_ecx, SIGSEGV, 13);
  expect_exception("WRPKRU with ECX 1", wrpkru_ecx, SIGSEGV, 13);
  expect_exception("WRPKRU with EDX 1", wrpkru_edx, SIGSEGV, 13);
  expect_exception("LOCK WRPKRU", wrpkru_lock, SIGILL, 6);
  expect_exception("LOCK RDPKRU", rdpkru_lock, SIGILL, 6);
  return_key(key);
  verdict(all_checked(), tried);
}

static u8 area[XSAVE_MAX_BYTES] ALIGNED(PAGE_SIZE);

static u64 *header(u32 offset) { return (u64 *)(area + offset); }

static void restore_area(void *image) { xrstor(image, XFEATURE_PKRU); }

enum { COMPACTED = 1, XSAVEC_BIT = 2 };
static const u64 COMPACTED_FORMAT = 1ull << 63;

static void roundtrip(u32 pkru, u32 mine) {
  u32 offset = xsave_pkru_offset();
  memset(area, 0xee, XSAVE_LEGACY_BYTES);
  memset(area + XSAVE_LEGACY_BYTES, 0, sizeof area - XSAVE_LEGACY_BYTES);
  wrpkru(pkru);
  xsave(area, XFEATURE_PKRU);
  wrpkru(mine);
  u32 saved = *(u32 *)(area + offset);
  check(saved == pkru && (*header(XSTATE_BV_OFFSET) & XFEATURE_PKRU || pkru == 0), NO_KEY, "XSAVE of PKRU 0x%08x",
        "0x%08x in the image, XSTATE_BV 0x%lx", pkru, saved, *header(XSTATE_BV_OFFSET));
  xrstor(area, XFEATURE_PKRU);
  u32 restored = rdpkru();
  wrpkru(mine);
  check(restored == pkru, NO_KEY, "XRSTOR of PKRU 0x%08x", "0x%08x", pkru, restored);
  xrstor(area, 0);
  check(rdpkru() == mine, NO_KEY, "XRSTOR without component 9", "0x%08x becomes 0x%08x", mine, rdpkru());
  *header(XSTATE_BV_OFFSET) = 0;
  xrstor(area, XFEATURE_PKRU);
  restored = rdpkru();
  wrpkru(mine);
  check(restored == 0, NO_KEY, "XRSTOR with XSTATE_BV[9] = 0", "0x%08x", restored);
  tried += 4;
  if (!(cpuid(0xd, 1).eax & XSAVEC_BIT)) return;
  memset(area, 0, sizeof area);
  wrpkru(pkru);
  xsavec(area, XFEATURE_PKRU);
  wrpkru(mine);
  saved = *(u32 *)(area + XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES);
  check(saved == pkru && *header(XCOMP_BV_OFFSET) == (COMPACTED_FORMAT | XFEATURE_PKRU), NO_KEY, "XSAVEC of PKRU 0x%08x",
        "0x%08x in the image, XCOMP_BV 0x%lx", pkru, saved, *header(XCOMP_BV_OFFSET));
  xrstor(area, XFEATURE_PKRU);
  restored = rdpkru();
  wrpkru(mine);
  check(restored == pkru, NO_KEY, "XRSTOR of the compacted image of 0x%08x", "0x%08x", pkru, restored);
  tried += 2;
}

static void xsave_roundtrip(void) {
  tried = 0;
  u32 mine = rdpkru();
  /* Key 0 stays open: the stack is there. Two keys give the same two bits to XSAVE's own accesses. */
  for (u32 bit = 2; bit < 32; bit++) roundtrip(1u << bit, mine);
  for (u32 i = 1; i < 40; i++) roundtrip(i * 0x9e3779b9u & ~3u, mine);
  roundtrip(0xfffffffc, mine);
  /* XRSTOR reads its image under the PKRU before it. */
  int key = obtain_key();
  u8 *page = (u8 *)keyed_pages(1, key);
  memset(page, 0, PAGE_SIZE);
  struct fault fault = {0};
  wrpkru(pkru_with(mine, key, 0));
  xsave(page, XFEATURE_PKRU);
  *(u64 *)(page + XSTATE_BV_OFFSET) |= XFEATURE_PKRU;
  *(u32 *)(page + xsave_pkru_offset()) = PKRU_ONLY_KEY0;
  bool passed = guarded(restore_area, page, &fault);
  u32 now = rdpkru();
  check(passed && now == PKRU_ONLY_KEY0, key, "XRSTOR, image open before and denied after", "PKRU 0x%08x", now);
  wrpkru(pkru_with(mine, key, 0));
  *(u32 *)(page + xsave_pkru_offset()) = 0;
  wrpkru(PKRU_ONLY_KEY0);
  passed = guarded(restore_area, page, &fault);
  now = rdpkru();
  check(!passed && fault.code == SEGV_PKUERR && now == PKRU_ONLY_KEY0, key, "XRSTOR, image denied before", "PKRU 0x%08x", now);
  wrpkru(mine);
  tried += 2;
  return_key(key);
  verdict(all_checked(), tried);
}

static const struct property properties[] = {
    {"pkru-table", pkru_table},
    {"pk-bit", pk_bit},
    {"wrpkru-immediate", wrpkru_immediate},
    {"xsave-roundtrip", xsave_roundtrip},
};

int main(int argc, char **argv) { return verify(argc, argv, properties, COUNT_OF(properties)); }
