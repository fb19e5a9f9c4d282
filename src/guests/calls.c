/*
 * Makes the calls named on the command line, one after another, and reports what each answered: for tests of single answers,
 * of errno and its precedence, of what a call leaves behind.
 *
 *   calls STEP [, STEP]…
 *
 * STEP is a name and its arguments, separated by spaces; steps are separated by an argument ",". Missing arguments are 0.
 *   pkey_mprotect ADDR LEN PROT KEY   pkey_alloc FLAGS RIGHTS   pkey_free KEY   pkey_get KEY FLAGS   pkey_set KEY RIGHTS FLAGS
 *   pkey_area ADDR LEN FLAGS          mmap ADDR LEN PROT FLAGS  munmap ADDR LEN  mprotect ADDR LEN PROT
 *   mremap ADDR OLD NEW FLAGS         getpid                    syscall NUMBER A B C D
 *   vdso_register                     vdso_get KEY              vdso_set KEY RIGHTS
 *   rdpkru       wrpkru VALUE         rights KEY RIGHTS         probe KEY
 *   read ADDR    write ADDR VALUE     exec ADDR
 *   thread       the steps that follow run in a new thread up to `back`, while this one waits
 *   handler      the steps that follow run in a signal handler up to `back`
 * Numbers are decimal, hexadecimal or negative. Addresses: page, page+OFFSET (16 fresh pages, readable and writable, each
 * beginning with a RET instruction), hole (the 4 unmapped pages at page+0x4000), stack, code.
 *
 * Records: `E step=N call=NAME result=R` (a call: −errno for an error; rdpkru: `pkru=0x…`; an access: `passed=0|1 value=…` or
 * `signal= code= addr= key= error= pkru=`).
 */
#include "europa.h"

enum { PAGES = 16, HOLE = 4, HOLE_PAGES = 4, MAX_WORDS = 8, RET = 0xc3 };

struct step {
  int number;
  const char *words[MAX_WORDS];
};

static char **arguments;
static int argument_count, at, step_number;
static u8 *pages;
static struct pkey_area area ALIGNED(32);

static u64 operand(const char *text) {
  if (!text) return 0;
  if (text[0] == '-') return -parse_number(text + 1);
  if (same(text, "page")) return (u64)pages;
  if (same(text, "hole")) return (u64)pages + HOLE * PAGE_SIZE;
  if (same(text, "stack")) return (u64)__builtin_frame_address(0) & -PAGE_SIZE;
  if (same(text, "code")) return (u64)operand;
  if (strlen(text) > 5 && memcmp(text, "page+", 5) == 0) return (u64)pages + parse_number(text + 5);
  return parse_number(text);
}

static void report_access(const struct step *step, bool passed, u64 value, const struct fault *fault) {
  if (passed)
    report("step=%d call=%s passed=1 value=0x%lx", step->number, step->words[0], value);
  else
    report("step=%d call=%s passed=0 signal=%d code=%d addr=0x%lx key=%u error=0x%x pkru=0x%08x", step->number,
           step->words[0], fault->signal, fault->code, fault->address, fault->key, fault->error, fault->pkru);
}

static const struct {
  const char *name;
  int number;
} system_calls[] = {
    {"pkey_mprotect", SYS_pkey_mprotect},
    {"pkey_alloc", SYS_pkey_alloc},
    {"pkey_free", SYS_pkey_free},
    {"pkey_get", SYS_pkey_get},
    {"pkey_set", SYS_pkey_set},
    {"pkey_area", SYS_pkey_area},
    {"munmap", SYS_munmap},
    {"mprotect", SYS_mprotect},
    {"mremap", SYS_mremap},
    {"getpid", SYS_getpid},
};

static long call(const char *name, const u64 *a) {
  for (size_t i = 0; i < COUNT_OF(system_calls); i++)
    if (same(name, system_calls[i].name)) return syscall6(system_calls[i].number, a[0], a[1], a[2], a[3], 0, 0);
  if (same(name, "syscall")) return syscall6(a[0], a[1], a[2], a[3], a[4], 0, 0);
  if (same(name, "mmap")) return sys_mmap((void *)a[0], a[1], (int)a[2], (int)a[3]);
  if (same(name, "vdso_register")) return vdso_register(&area);
  if (same(name, "vdso_get")) return vdso_pkey_get((int)a[0]);
  if (same(name, "vdso_set")) return vdso_pkey_set((int)a[0], (u32)a[1]);
  if (same(name, "probe")) return probe_key(PROT_READ, (int)a[0]);
  report("error=usage unknown-call=%s", name);
  exit(EXIT_USAGE);
}

static void make(const struct step *step) {
  const char *name = step->words[0];
  u64 a[MAX_WORDS - 1], value = 0;
  for (int i = 0; i < MAX_WORDS - 1; i++) a[i] = operand(step->words[i + 1]);
  struct fault fault = {0};
  if (same(name, "wrpkru") || same(name, "rights")) {
    wrpkru(same(name, "wrpkru") ? (u32)a[0] : pkru_with(rdpkru(), (int)(a[0] & 15), a[1] & 3));
    report("step=%d call=%s pkru=0x%08x", step->number, name, rdpkru());
  } else if (same(name, "rdpkru")) {
    report("step=%d call=rdpkru pkru=0x%08x", step->number, rdpkru());
  } else if (same(name, "read")) {
    bool passed = try_read((void *)a[0], &value, &fault);
    report_access(step, passed, value, &fault);
  } else if (same(name, "write")) {
    report_access(step, try_write((void *)a[0], a[1], &fault), a[1], &fault);
  } else if (same(name, "exec")) {
    report_access(step, try_exec((void *)a[0], &fault), 0, &fault);
  } else {
    long result = call(name, a);
    report("step=%d call=%s result=%ld", step->number, name, result);
  }
}

/* The next step of the command line; false at its end. */
static bool next_step(struct step *step) {
  *step = (struct step){.number = step_number};
  int words = 0;
  while (at < argument_count && same(arguments[at], ",")) at++;
  for (; at < argument_count && !same(arguments[at], ","); at++) {
    if (words == MAX_WORDS) die("too-many-words", step->number);
    step->words[words++] = arguments[at];
  }
  step_number++;
  return words > 0;
}

static void on_signal(int signal, struct siginfo *info, struct ucontext *context);

/* Runs steps up to `back` or the end of the command line. */
static long run_steps(void *unused) {
  (void)unused;
  struct step step;
  while (next_step(&step)) {
    if (same(step.words[0], "back")) {
      return 0;
    } else if (same(step.words[0], "thread")) {
      thread_join(thread_start(run_steps, NULL));
    } else if (same(step.words[0], "handler")) {
      install_handler(SIGUSR1, on_signal, 0);
      sys_tgkill((int)sys_getpid(), (int)sys_gettid(), SIGUSR1);
    } else {
      make(&step);
    }
  }
  return 0;
}

static void on_signal(int signal, struct siginfo *info, struct ucontext *context) {
  (void)signal;
  (void)info;
  (void)context;
  run_steps(NULL);
}

int main(int argc, char **argv) {
  arguments = argv + 1;
  argument_count = argc - 1;
  if (argument_count == 0) {
    report("error=usage detail=calls-STEP-,-STEP");
    return EXIT_USAGE;
  }
  catch_faults();
  pages = map_pages(PAGES);
  for (int i = 0; i < PAGES; i++) pages[i * PAGE_SIZE] = RET;
  sys_munmap(pages + HOLE * PAGE_SIZE, HOLE_PAGES * PAGE_SIZE);
  run_steps(NULL);
  return EXIT_HELD;
}
