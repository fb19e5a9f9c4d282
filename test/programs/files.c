/*
 * Reading files: open, read, pread, readv, lseek, stat, getdents64, readlink, access, getcwd, dup, fcntl.
 * argv[1] is a folder with: text.txt, numbers.bin, empty, sub/inner.txt, link → text.txt, dangling → nowhere.
 */
#include "test.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path) {
  DIR *folder = opendir(path);
  if (!folder) {
    printf("opendir: %s\n", error_name(-1));
    return;
  }
  char *names[64];
  int count = 0;
  for (struct dirent *entry; (entry = readdir(folder)) && count < 64;) {
    names[count] = malloc(300);
    sprintf(names[count++], "%s:%d", entry->d_name, entry->d_type);
  }
  qsort(names, (size_t)count, sizeof *names, by_name);
  for (int i = 0; i < count; i++) printf("%s ", names[i]);
  putchar('\n');
  rewinddir(folder);
  int again = 0;
  while (readdir(folder)) again++;
  printf("again %d\n", again == count);
  closedir(folder);
}

static void show_stat(const char *what, int result, const struct stat *s) {
  if (result) printf("%s: %s\n", what, error_name(-1));
  else printf("%s: type %o permissions %o size %ld links %d\n", what, s->st_mode & S_IFMT, s->st_mode & 0777, S_ISDIR(s->st_mode) ? -1L : (long)s->st_size, S_ISDIR(s->st_mode) ? -1 : (int)s->st_nlink);
}

int main(int argc, char **argv) {
  if (argc < 2) return fputs("usage: files FOLDER\n", stderr), 2;
  int top = open(argv[1], O_RDONLY | O_DIRECTORY);
  printf("folder: %s\n", error_name(top));
  if (top < 0) return 1;
  char buffer[5000], link[100];
  struct stat s;
  int fd = openat(top, "text.txt", O_RDONLY);
  long n = read(fd, buffer, 20);
  printf("read %ld [%.*s]\n", n, (int)n, buffer);
  n = pread(fd, buffer, 10, 5);
  printf("pread %ld [%.*s], position %ld\n", n, (int)n, buffer, (long)lseek(fd, 0, SEEK_CUR));
  printf("lseek %ld", (long)lseek(fd, -6, SEEK_END));
  printf(" %ld", (long)lseek(fd, 2, SEEK_CUR));
  printf(" %s %s\n", error_name(lseek(fd, -1, SEEK_SET)), error_name(lseek(fd, 0, 77)));
  n = read(fd, buffer, sizeof buffer);
  printf("rest %ld, at the end %ld\n", n, (long)read(fd, buffer, 10));
  printf("beyond the end: lseek %ld", (long)lseek(fd, 100000, SEEK_SET));
  printf(" read %ld, pread %ld\n", (long)read(fd, buffer, 10), (long)pread(fd, buffer, 10, 1 << 20));
  printf("pread at -1: %s\n", error_name(pread(fd, buffer, 10, -1)));
  printf("write to a read-only descriptor: %s\n", error_name(write(fd, "x", 1)));
  lseek(fd, 0, SEEK_SET);
  char one[7], two[9];
  struct iovec parts[] = {{one, 7}, {two, 0}, {two, 9}};
  n = readv(fd, parts, 3);
  printf("readv %ld [%.7s][%.9s]\n", n, one, two);
  printf("readv, negative count: %s\n", error_name(readv(fd, parts, -1)));
  printf("read into the null pointer: %s\n", error_name(syscall(SYS_read, fd, (char *)8, 5)));
  printf("read of 0 bytes: %ld\n", (long)read(fd, buffer, 0));

  int copy = dup(fd);
  lseek(fd, 3, SEEK_SET);
  printf("dup shares its position: %ld\n", (long)lseek(copy, 0, SEEK_CUR));
  printf("dup2: %d,", dup2(fd, 50));
  printf(" onto itself %d, from a closed one %s\n", dup2(50, 50), error_name(dup2(77, 51)));
  printf("dup3 onto itself: %s\n", error_name(dup3(fd, fd, 0)));
  printf("fcntl: DUPFD %d, GETFD %d", fcntl(fd, F_DUPFD, 60), fcntl(fd, F_GETFD));
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  printf(" then %d, access mode %d, closed %s\n", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL) & O_ACCMODE, error_name(fcntl(78, F_GETFD)));
  printf("close %s,", error_name(close(copy)));
  printf(" twice %s\n", error_name(close(copy)));
  printf("read closed %s, write closed %s, fstat closed %s, lseek closed %s\n", error_name(read(copy, buffer, 1)), error_name(write(copy, "", 1)), error_name(fstat(copy, &s)), error_name(lseek(copy, 0, 0)));
  int lowest = open("/", O_RDONLY);
  printf("lowest descriptor first: %d\n", lowest == copy);
  printf("read of a folder: %s\n", error_name(read(lowest, buffer, 10)));
  close(lowest);

  show_stat("fstat", fstat(fd, &s), &s);
  show_stat("stat folder", fstatat(top, "sub", &s, 0), &s);
  show_stat("stat link", fstatat(top, "link", &s, 0), &s);
  show_stat("lstat link", fstatat(top, "link", &s, AT_SYMLINK_NOFOLLOW), &s);
  show_stat("stat dangling", fstatat(top, "dangling", &s, 0), &s);
  show_stat("stat empty path", fstatat(fd, "", &s, AT_EMPTY_PATH), &s);
  show_stat("stat nothing", stat("", &s), &s);
  show_stat("stat through a file", fstatat(top, "text.txt/x", &s, 0), &s);
  show_stat("stat binary", fstatat(top, "numbers.bin", &s, 0), &s);
  n = readlinkat(top, "link", link, sizeof link);
  printf("readlink %ld [%.*s], of a file %s\n", n, (int)n, link, error_name(readlinkat(top, "text.txt", link, 10)));
  n = readlinkat(top, "link", link, 3);
  printf("readlink cut off %ld [%.*s]\n", n, (int)n, link);
  printf("access: read %s, execute %s, missing %s\n", error_name(faccessat(top, "text.txt", R_OK, 0)), error_name(faccessat(top, "text.txt", X_OK, 0)), error_name(faccessat(top, "missing", F_OK, 0)));
  printf("open: missing %s, folder for writing %s, O_DIRECTORY on a file %s, O_NOFOLLOW on a link %s, through a file %s, dangling %s, bad address %s\n",
         error_name(openat(top, "missing", O_RDONLY)), error_name(openat(top, "sub", O_RDWR)), error_name(openat(top, "text.txt", O_RDONLY | O_DIRECTORY)),
         error_name(openat(top, "link", O_RDONLY | O_NOFOLLOW)), error_name(openat(top, "text.txt/x", O_RDONLY)), error_name(openat(top, "dangling", O_RDONLY)), error_name(syscall(SYS_open, (char *)16, 0)));
  memset(buffer, 'n', 4900);
  buffer[4900] = 0;
  printf("open: name too long %s\n", error_name(open(buffer, O_RDONLY)));
  list(argv[1]);
  printf("getdents into too small a buffer: %s, of a file %s\n", error_name(syscall(SYS_getdents64, top, buffer, 10)), error_name(syscall(SYS_getdents64, fd, buffer, 4000)));
  char *before = getcwd(0, 0);
  if (chdir(argv[1]) == 0) {
    char *now = getcwd(buffer, sizeof buffer);
    printf("getcwd after chdir: ends in the folder's name %d, too small %s\n", now && strstr(argv[1], strrchr(now, '/')) != 0, getcwd(link, 2) ? "?" : error_name(-1));
    int inner = open("sub/../sub/./inner.txt", O_RDONLY);
    n = read(inner, buffer, 100);
    printf("relative: %.*s", (int)n, buffer);
    close(inner);
  }
  printf("back: %s, to a file %s\n", error_name(chdir(before)), error_name(chdir("/proc/self/exe/x")));
  struct pollfd waiting = {.fd = fd, .events = POLLIN | POLLOUT};
  n = poll(&waiting, 1, 0);
  printf("poll of a file: %ld %x\n", n, (unsigned)waiting.revents);
  waiting = (struct pollfd){.fd = 79, .events = POLLIN};
  n = poll(&waiting, 1, 100);
  printf("poll of a closed one: %ld %x\n", n, (unsigned)waiting.revents);
  printf("poll of nothing: %d\n", poll(0, 0, 1));
  struct winsize size;
  printf("ioctl of a file: %s, FIONREAD %s", error_name(ioctl(fd, TIOCGWINSZ, &size)), error_name(ioctl(fd, FIONREAD, &lowest)));
  printf(", isatty %d %s\n", isatty(fd), error_name(-1));

  FILE *file = fdopen(openat(top, "text.txt", O_RDONLY), "r");
  int lines = 0, longest = 0;
  while (fgets(buffer, sizeof buffer, file)) lines++, longest = (int)strlen(buffer) > longest ? (int)strlen(buffer) : longest;
  printf("lines %d longest %d\n", lines, longest);
  fclose(file);
  file = fdopen(openat(top, "numbers.bin", O_RDONLY), "rb");
  uint32_t number, sum = 0;
  int count = 0;
  while (fread(&number, 4, 1, file) == 1) sum = sum * 31 + number, count++;
  printf("numbers %d digest %08x\n", count, sum);
  fseek(file, 4000, SEEK_SET);
  printf("seek %zu %08x\n", fread(&number, 4, 1, file), number);
  fclose(file);
  fflush(stdout);
  struct iovec out[] = {{"written ", 8}, {"in ", 3}, {"parts\n", 6}};
  printf("%ld\n", (long)writev(1, out, 3));
  fflush(stdout);
  printf("write, bad address: %s, to descriptor -1: %s\n", error_name(syscall(SYS_write, 1, (char *)8, 10)), error_name(write(-1, "", 1)));
  fputs("on stderr\n", stderr);
  return 0;
}
