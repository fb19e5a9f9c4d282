/* The least a program can do: for the time from the command to the first output. */
#include <stdio.h>

int main(void) {
  puts("hello");
  return 0;
}
