/*
 * What the programs under workloads/ share. Usage of each: `NAME [faulty|fixed] …`, faulty by default. Exit status EXIT_HELD
 * (silent) or EXIT_FAILED after one record `E check=failed …`.
 */
#ifndef EUROPA_WORKLOAD_H
#define EUROPA_WORKLOAD_H

#include "types.h"

/* argv[1] is "fixed"; ends the program with EXIT_USAGE when it is neither that, "faulty" nor absent. */
bool wants_fixed(int argc, char **argv);

/* Reports `E check=failed …` and answers EXIT_FAILED. */
int failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What the secret pages hold. */
#define SECRET 0x5ec2e7000000c0deull

/* A fresh page of key 0 whose first word is SECRET. */
u64 *secret_page(void);

/* The page could be read and its first word is SECRET. */
bool reads_secret(const u64 *page);

/* pkey_mprotect of one page, readable and writable; ends the program when that fails. */
void tag_page(void *page, int key);

/* take_key or pkey_alloc that must succeed; −ENOSYS ends the program as skipped. */
int must_take_key(u32 rights);
int must_alloc_key(u32 rights);

#endif
