#include "europa.h"

void *memcpy(void *to, const void *from, size_t bytes) {
  void *result = to;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
  return result;
}

void *memset(void *to, int byte, size_t bytes) {
  void *result = to;
  asm volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(byte) : "memory");
  return result;
}

void *memmove(void *to, const void *from, size_t bytes) {
  if ((u64)to - (u64)from >= bytes) return memcpy(to, from, bytes);
  for (size_t i = bytes; i-- > 0;) ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
  return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
  const u8 *x = a, *y = b;
  for (size_t i = 0; i < bytes; i++)
    if (x[i] != y[i]) return x[i] - y[i];
  return 0;
}

size_t strlen(const char *string) {
  size_t length = 0;
  while (((const volatile char *)string)[length]) length++;
  return length;
}

bool same(const char *a, const char *b) {
  size_t length = strlen(a);
  return strlen(b) == length && memcmp(a, b, length) == 0;
}

u64 parse_number(const char *text) {
  u64 base = 10, value = 0;
  const char *digit = text;
  if (digit[0] == '0' && digit[1] == 'x') {
    base = 16;
    digit += 2;
  }
  const char *first = digit;
  for (; *digit; digit++) {
    u64 d = 99;
    if (*digit >= '0' && *digit <= '9') d = *digit - '0';
    if (*digit >= 'a' && *digit <= 'f') d = *digit - 'a' + 10;
    if (d >= base) break;
    value = value * base + d;
  }
  if (*digit || digit == first) {
    report("error=not-a-number argument=%s", text);
    exit(EXIT_USAGE);
  }
  return value;
}

u64 argument(int argc, char **argv, int index, u64 fallback) {
  return index < argc ? parse_number(argv[index]) : fallback;
}

struct sink {
  char *at, *end;
  size_t wanted;
};

static void put(struct sink *sink, char c) {
  if (sink->at < sink->end) *sink->at++ = c;
  sink->wanted++;
}

static void put_padded(struct sink *sink, const char *text, size_t length, size_t width, bool left) {
  for (size_t i = length; !left && i < width; i++) put(sink, ' ');
  for (size_t i = 0; i < length; i++) put(sink, text[i]);
  for (size_t i = length; left && i < width; i++) put(sink, ' ');
}

/* Digits of `value`, at least `digits` of them, with a sign; answers their number. `text` has room for 40. */
static size_t number_text(char *text, u64 value, u64 base, bool negative, size_t digits) {
  char reversed[40];
  size_t count = 0, length = 0;
  do {
    reversed[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (count + negative < digits && count < 38) reversed[count++] = '0';
  if (negative) text[length++] = '-';
  while (count) text[length++] = reversed[--count];
  return length;
}

size_t format_va(char *buffer, size_t bytes, const char *format, va_list arguments) {
  struct sink sink = {buffer, buffer + (bytes ? bytes - 1 : 0), 0};
  for (; *format; format++) {
    if (*format != '%') {
      put(&sink, *format);
      continue;
    }
    bool left = false, zero = false, is_long = false;
    size_t width = 0;
    for (format++;; format++) {
      if (*format == '-')
        left = true;
      else if (*format == '0' && width == 0)
        zero = true;
      else if (*format >= '0' && *format <= '9')
        width = width * 10 + (*format - '0');
      else if (*format == 'l')
        is_long = true;
      else
        break;
    }
    char text[40];
    size_t length;
    switch (*format) {
      case 'd': {
        i64 value = is_long ? va_arg(arguments, i64) : va_arg(arguments, i32);
        u64 magnitude = value < 0 ? -(u64)value : (u64)value;
        length = number_text(text, magnitude, 10, value < 0, zero ? width : 0);
        break;
      }
      case 'u':
      case 'x': {
        u64 value = is_long ? va_arg(arguments, u64) : va_arg(arguments, u32);
        length = number_text(text, value, *format == 'x' ? 16 : 10, false, zero ? width : 0);
        break;
      }
      case 'p':
        text[0] = '0';
        text[1] = 'x';
        length = 2 + number_text(text + 2, va_arg(arguments, u64), 16, false, 0);
        break;
      case 'c':
        text[0] = (char)va_arg(arguments, int);
        length = 1;
        break;
      case 's': {
        const char *string = va_arg(arguments, const char *);
        put_padded(&sink, string, strlen(string), width, left);
        continue;
      }
      case '\0':
        format--;
        continue;
      default:
        text[0] = *format;
        length = 1;
    }
    put_padded(&sink, text, length, width, left);
  }
  if (bytes) *sink.at = '\0';
  return sink.wanted;
}

size_t format(char *buffer, size_t bytes, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t length = format_va(buffer, bytes, format, arguments);
  va_end(arguments);
  return length;
}

enum { LINE_BYTES = 512 };

static void write_all(const char *text, size_t bytes) {
  while (bytes) {
    long written = sys_write(1, text, bytes);
    if (written == -EINTR || written == -EAGAIN) continue;
    if (is_error(written) || written == 0) return;
    text += written;
    bytes -= (size_t)written;
  }
}

void print(const char *format, ...) {
  char line[LINE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  size_t length = format_va(line, sizeof line, format, arguments);
  va_end(arguments);
  write_all(line, length < sizeof line ? length : sizeof line - 1);
}

void report(const char *format, ...) {
  char line[LINE_BYTES] = "E ";
  va_list arguments;
  va_start(arguments, format);
  size_t length = 2 + format_va(line + 2, sizeof line - 3, format, arguments);
  va_end(arguments);
  if (length > sizeof line - 2) length = sizeof line - 2;
  line[length] = '\n';
  write_all(line, length + 1);
}

void die(const char *reason, long code) {
  report("error=%s code=%ld", reason, code);
  exit(EXIT_BROKEN);
}

void skip(const char *reason) {
  report("skip=%s", reason);
  exit(EXIT_SKIPPED);
}
