/*
 * What the programs under verify/ share: each shows properties of protection keys, or counterexamples to them.
 *
 *   PROGRAM ABI [+FLAG]… PROPERTY…
 *
 * FLAG: managed (`hybrid` is switched over first), debug (the machine clears key 14), no-free-key (all keys are taken before
 * anything else), page0 (page 0 is mapped), thorough (more schedules: the search may take long). Records, for each property:
 *   E property=NAME step=N thread=T cpu=C pkru=0x… key=K did=… result=…     only of a violation; spaces are written as ~
 *   E property=NAME note=…                                                   what was not looked at, and why
 *   E property=NAME observed=holds|violated tried=N nanoseconds=N
 * Exit status EXIT_HELD when every property got its record.
 */
#ifndef EUROPA_VERIFY_H
#define EUROPA_VERIFY_H

#include "types.h"

enum abi { ABI_MINIMAL, ABI_LINUX, ABI_MM_BITMAP, ABI_TASK_BITMAP, ABI_HYBRID, ABI_VDSO };

/* What the command line says. */
struct circumstances {
  enum abi abi;
  bool managed, debug, no_free_key, page0, thorough;
};
extern struct circumstances given;

struct property {
  const char *name;
  void (*look)(void); /* calls holds_if once */
};

/* Runs the properties that the command line names, in its order. */
int verify(int argc, char **argv, const struct property *properties, size_t count);

/* User space organises the keys: `minimal`, or `hybrid` before it is managed. */
bool keys_are_probed(void);

/* PKRU of a new program, and in a handler that interrupted `interrupted`. */
u32 initial_pkru(void);
u32 pkru_in_handler(u32 interrupted);

/*
 * Adds a step to the property's interleaving, with the calling thread's number, CPU and PKRU; NO_KEY when no page is meant.
 * `result` is a format as well, behind that of `did`, and both share the arguments. At most 24 steps are kept, the first ones.
 */
enum { NO_KEY = -1 };
void step(int key, const char *did, const char *result, ...);

/* The same for a check: a step when `ok` is false, once a property at most. Answers `ok`. */
bool check(bool ok, int key, const char *did, const char *result, ...);
/* No check of the property has failed yet. */
bool all_checked(void);

/* Says what the property's search left out. */
void remark(const char *text);

/* Ends the property: its verdict and the number of schedules or cases tried. */
void verdict(bool holds, u64 tried);

/*
 * Hand-over between threads: reach(n) says that point n of the interleaving is behind the caller, await(n) waits for it. Points are
 * numbered upwards from 1 within a property.
 */
void reach(u32 point);
void await(u32 point);

/* Binds the calling thread to one CPU, or (ANY_CPU) to none; false when there is no such CPU. */
enum { ANY_CPU = -1 };
bool run_on(int cpu);
/* CPUs that the program may use. */
u32 cpu_count(void);

/* A key for the calling thread, open; ends the program when there is none. return_key gives it back. */
int obtain_key(void);
void return_key(int key);

/* Key of the page, told by a fault under a PKRU that denies all keys but 0; 0 when the read passes. */
int page_key(const void *page);

/* Pages with a key. retag keeps to RW; both end the program when the call fails. */
u64 *keyed_pages(size_t pages, int key);
void retag(void *page, size_t pages, int prot, int key);

/* A read under exactly this PKRU (key 0 open); the caller's PKRU is back afterwards. */
bool reads_under(u32 pkru, const void *address, struct fault *fault);
bool writes_under(u32 pkru, void *address, struct fault *fault);

/* A budget of time for searches among real schedules. */
bool time_left(u64 started, u64 milliseconds);

#endif
