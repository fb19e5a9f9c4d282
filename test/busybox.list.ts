// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are shell variables, not placeholders

/**
 * Command lines for busybox-static (Debian package busybox-static), for byte-for-byte comparison with native runs. They
 * run in the folder that `fixture()` of test/programs/build.ts makes, and print the same in every run.
 */

/** One command: arguments of `busybox`, the applet first. */
export interface BusyboxCommand {
  /** Arguments behind `busybox`. */
  args: string[];
  /** Text for standard input; empty when absent. */
  input?: string;
}

function applet(...args: string[]): BusyboxCommand {
  return { args };
}

function reading(input: string, ...args: string[]): BusyboxCommand {
  return { args, input };
}

/** A shell script; builtins only, unless it stands among `forkingCommands`. */
function shell(script: string, ...args: string[]): BusyboxCommand {
  return { args: ['sh', '-c', script, 'sh', ...args] };
}

const lines = Array.from({ length: 500 }, (_, i) => `${(i * 193) % 499} word${i % 23} ${(i % 7) / 8}\n`).join(
  '',
);

/** One process each: no fork, no pipe. */
export const singleProcessCommands: readonly BusyboxCommand[] = [
  shell('i=0; s=0; while [ $i -lt 2000 ]; do s=$((s + i * i % 7)); i=$((i + 1)); done; echo $s'),
  shell(
    'for a in 1 2 3; do for b in x y; do echo "$a$b"; done; done; echo "${#1} ${1%.*} ${1##*/} $#"',
    'path/to/file.txt',
    'b',
  ),
  shell(
    'f() { [ $1 -le 1 ] && { r=1; return; }; local n=$1; f $((n - 1)); r=$((r * n)); }; f 15; echo $r; case $r in *000) echo zeros;; *) echo other;; esac',
  ),
  shell('while read a b c; do [ "$b" = 3 ] && printf "%s:%5d\\n" "$a" "$c"; done < words.txt; true'),
  shell(
    'set -- c a b; echo "$@" "$*" $((0x1f)) $((1 << 40)) $((7 / 2)) $((-7 % 3)); echo *; echo sub/*; test -d sub; echo $?; exit 5',
  ),
  shell('trap "echo trapped; exit 9" TERM; kill -TERM $$; echo after'),
  shell(
    'echo ${undefined:-fallback} ${HOME:+set}; IFS=:; v=a:b:c; for p in $v; do echo "<$p>"; done; unset v; echo "[$v]"; printf "%x %o %5.2f %s\\n" 255 8 3.14159 end',
  ),
  applet(
    'awk',
    'BEGIN { for (i = 1; i <= 5000; i++) { s += 1 / i; p = (p * 31 + i) % 65521 } printf "%.10f %d\\n", s, p; print int(-3.7), length("four") }',
  ),
  applet(
    'awk',
    '{ n[$2] += $3; c++ } END { for (i = 0; i < 17; i++) print i, n[i]; print c, length($0) }',
    'words.txt',
  ),
  applet(
    'awk',
    '-F',
    ' ',
    'NR % 500 == 1 { print NR, toupper($1), substr($0, 2, 4); gsub(/[0-9]/, "#"); print } /^z/ { z++ } END { print z, match("foobar", /o+/), RLENGTH, sprintf("%05.1f|%-6s|%c", 3.14159, "ab", 65) }',
    'words.txt',
  ),
  applet(
    'awk',
    'BEGIN { printf "%d %d %s %s\\n", 2147483647 + 1, -5 % 3, 1e300 * 1e10, 0.1 + 0.2; n = split("a,b,,c", f, ","); print n, f[2], f[4]; print 1 / 3; print 100000000000000000000; print index("haystack", "st") }',
  ),
  applet('sort', 'words.txt'),
  applet('sort', '-n', '-r', '-k', '3', '-k', '1', 'words.txt'),
  applet('sort', '-u', '-k', '2,2', 'words.txt'),
  reading(lines, 'sort', '-n'),
  applet('sha256sum', 'two-megabytes.bin'),
  applet('md5sum', 'two-megabytes.bin'),
  applet('sha1sum', 'two-megabytes.bin', 'text.txt', 'empty'),
  applet('sha512sum', 'two-megabytes.bin'),
  applet('sha3sum', 'text.txt'),
  applet('gzip', '-c', 'text.txt'),
  applet('gzip', '-c', 'two-megabytes.bin'),
  applet('bzip2', '-c', 'text.txt'),
  applet(
    'factor',
    '1',
    '2',
    '97',
    '360360',
    '1000000007',
    '600851475143',
    '18446744073709551557',
    '9223372036854775807',
  ),
  applet('ls'),
  applet('ls', '-1', '-F', '-a'),
  applet('ls', '-R', '.'),
  applet('wc', 'text.txt', 'words.txt', 'two-megabytes.bin', 'empty'),
  applet('wc', '-l', 'words.txt'),
  applet('base64', 'numbers.bin'),
  applet('base64', '-w', '40', 'text.txt'),
  reading('aGVsbG8gd29ybGQK', 'base64', '-d'),
  applet('sed', '-n', '10,20p;$=', 'text.txt'),
  applet('sed', '-e', 's/\\([a-j]*\\)$/<\\1>/', '-e', '/line 1[0-9] /d', '-e', 'y/ei/EI/', 'text.txt'),
  applet('sed', '1!G;h;$!d', 'text.txt'),
  applet('grep', '-c', 'abc', 'text.txt'),
  applet('grep', '-n', '-E', '^line (1?[05]|42) ', 'text.txt'),
  applet('grep', '-v', '-i', 'ABC', 'text.txt'),
  applet('grep', '-o', '-w', '[0-9]*7', 'words.txt'),
  applet('grep', 'absent', 'text.txt'),
  reading(lines, 'tr', 'a-z', 'A-Z'),
  reading(lines, 'tr', '-d', '0-9\\n'),
  reading(lines, 'tr', '-s', 'a-z '),
  applet('cut', '-d', ' ', '-f', '1,3', 'words.txt'),
  applet('cut', '-c', '2-9', 'text.txt'),
  applet('head', '-n', '7', 'text.txt'),
  applet('head', '-c', '1000', 'two-megabytes.bin'),
  applet('tail', '-n', '5', 'text.txt'),
  applet('tail', '-c', '+2000000', 'two-megabytes.bin'),
  applet('od', '-A', 'd', '-t', 'x4', '-N', '400', 'numbers.bin'),
  applet('od', '-c', '-N', '200', 'text.txt'),
  applet('od', '-t', 'f8', '-N', '160', 'numbers.bin'),
  applet('hexdump', '-C', '-n', '500', 'numbers.bin'),
  applet('xxd', '-l', '200', 'numbers.bin'),
  applet('expr', '(', '17', '+', '5', ')', '*', '3', '%', '7'),
  applet('expr', 'substring-42', ':', '[a-z]*-\\([0-9]*\\)'),
  applet(
    'printf',
    '%5d|%-8s|%08.3f|%x|%o|%e|%c|%b\\n',
    '42',
    'text',
    '3.14159',
    '255',
    '8',
    '12345.678',
    'A',
    'tab\\tend',
  ),
  applet('seq', '1', '7', '200'),
  applet('seq', '-w', '95', '105'),
  applet('seq', '0', '.25', '3'),
  applet('cal', '7', '2016'),
  applet('cal', '2024'),
  applet('date', '-u', '-d', '@1467936000', '+%Y-%m-%dT%H:%M:%SZ %A %j %s'),
  applet('find', '.', '-type', 'f', '-name', '*.txt'),
  applet('find', '.', '-type', 'l'),
  applet('diff', 'text.txt', 'words.txt'),
  applet('diff', 'text.txt', 'link'),
  applet('cmp', 'text.txt', 'words.txt'),
  applet('cmp', 'text.txt', 'link'),
  reading(lines, 'dd', 'bs=64', 'count=5', 'skip=2', 'status=none'),
  applet('dd', 'if=two-megabytes.bin', 'bs=4096', 'skip=500', 'count=3', 'status=none'),
  applet('cat', '-n', 'text.txt'),
  applet('cat', 'two-megabytes.bin'),
  reading(lines, 'cat'),
  applet('tac', 'text.txt'),
  applet('rev', 'words.txt'),
  applet('nl', 'text.txt'),
  applet('fold', '-w', '20', 'text.txt'),
  applet('paste', 'text.txt', 'words.txt'),
  reading(lines, 'uniq', '-c'),
  applet('strings', '-n', '12', 'two-megabytes.bin'),
  applet('basename', '/a/b/c.txt', '.txt'),
  applet('dirname', '/a/b/c.txt'),
  applet('readlink', 'link'),
  applet('stat', '-c', '%s %F %n', 'text.txt', 'link', 'sub', 'empty'),
  applet('cat', 'missing'),
  applet('ls', 'missing'),
  applet('true'),
  applet('false'),
  applet('echo', '-e', 'a\\tb\\x41'),
  applet('test', 'text.txt', '-nt', 'missing'),
  applet('dc', '-e', '2 100 ^ p 20 k 2 v p'),
  reading('scale=20; 4*a(1); 2^200; for (i = 0; i < 5; i++) i * i\n', 'bc', '-l'),
  applet('crc32', 'two-megabytes.bin'),
  applet('unexpand', '-a', 'text.txt'),
  applet('shuf', '-n', '0', 'text.txt'),
  applet('uname', '-s', '-m'),
];

/** Need fork, exec or pipes. */
export const forkingCommands: readonly BusyboxCommand[] = [
  shell('echo one | tr a-z A-Z'),
  shell('cat words.txt | sort | uniq | wc -l'),
  shell('x=$(echo inner); echo "[$x]"; echo $(seq 1 5)'),
  shell('(exit 3); echo $?; true && echo yes; false || echo no'),
  shell('gzip -c text.txt | gunzip -c | cmp - text.txt && echo equal'),
  shell('gzip -c two-megabytes.bin | gzip -d -c | sha256sum'),
  shell('for i in 1 2 3; do (echo $i; exit $i) & wait $!; echo status $?; done'),
  shell('seq 1 100 | while read n; do echo $((n * n)); done | tail -n 3'),
  shell('tar -c -f - text.txt sub | tar -t -f -'),
  shell('printf "c\\na\\nb\\n" | sort | head -n 2; find . -name "*.txt" -exec wc -c {} \\; | sort'),
  shell('cat <<E | sed s/o/0/g\nfoo\nboo\nE'),
  shell('echo a b c | xargs -n 1 echo item'),
  shell('sleep 0.05 & wait; echo waited; kill -0 $$ && echo alive'),
  shell('{ echo out; echo err >&2; } 2>&1 | sort'),
  applet('xargs', '-a', 'sub/inner.txt', 'echo', 'read'),
  applet('timeout', '5', 'echo', 'in time'),
];
