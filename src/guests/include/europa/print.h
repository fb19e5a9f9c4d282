/* Strings, formatting and the result protocol. */
#ifndef EUROPA_PRINT_H
#define EUROPA_PRINT_H

#include "types.h"

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *string);
bool same(const char *a, const char *b);

/* Decimal, or hexadecimal after "0x"; ends the program with EXIT_USAGE when `text` is no number. */
u64 parse_number(const char *text);

/* argv[index] as a number, or `fallback` when there are fewer arguments. */
u64 argument(int argc, char **argv, int index, u64 fallback);

/* Formats like snprintf: %d %u %x %c %s %p %%, with l, a minimum width, and the flags 0 and −. Answers the length wanted. */
size_t format_va(char *buffer, size_t bytes, const char *format, va_list arguments);
size_t format(char *buffer, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Writes to standard output with one system call, so that lines of several threads do not mix. At most 512 bytes. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same as a record: "E " in front, a newline behind. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Reports `E error=…` and ends the program with EXIT_BROKEN. */
void die(const char *reason, long code) __attribute__((noreturn));

/* Reports `E skip=…` and ends the program with EXIT_SKIPPED. */
void skip(const char *reason) __attribute__((noreturn));

#endif
