import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Machine, type MachineOptions, type RunResult } from '../../src/machine/index.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

export const guest = (name: string): string => join(root, 'src/guests/bin', name);

/** The command, as compiled. */
export const EUROPA = join(root, 'dist/src/cli/main.js');

/** Runs one program on a machine of its own. */
export async function run(
  path: string,
  args: readonly string[] = [],
  options: MachineOptions = {},
): Promise<RunResult> {
  const machine = await Machine.boot({ stdout: 'capture', ...options });
  try {
    return await machine.run(path, args, {});
  } finally {
    await machine.close();
  }
}

/** Where tests put what they make; removed by `cleanUp`. */
export class Scratch {
  readonly path = mkdtempSync(join(tmpdir(), 'europa-'));

  file(name: string, contents: string | Uint8Array, mode = 0o755): string {
    const path = join(this.path, name);
    mkdirSync(this.path, { recursive: true });
    writeFileSync(path, contents, { mode });
    return path;
  }

  /**
   * Compiles a C program without a C library: it begins at `start(long *stack)` and makes its calls by `sys(n, a, b, c, d)`.
   */
  compile(name: string, body: string): string {
    const source = this.file(`${name}.c`, PRELUDE + body, 0o644);
    const path = join(this.path, name);
    const flags = [
      '-O1',
      '-static',
      '-nostdlib',
      '-fno-stack-protector',
      '-mno-sse',
      '-w',
      '-o',
      path,
      source,
    ];
    const result = spawnSync('gcc', flags, { encoding: 'utf8' });
    if (result.status !== 0) throw new Error(result.stderr);
    return path;
  }

  cleanUp(): void {
    if (existsSync(this.path)) rmSync(this.path, { recursive: true });
  }
}

export const hasGcc = spawnSync('gcc', ['--version']).status === 0;

const PRELUDE = `
typedef unsigned long u64;
static long sys(long n, long a, long b, long c, long d) {
  long r;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return r;
}
static void put(const char *s) { long n = 0; while (s[n]) n++; sys(1, 1, (long)s, n, 0); }
void start(long *stack);
__asm__(".globl _start\\n_start: mov %rsp, %rdi\\nand $-16, %rsp\\ncall start\\nhlt\\n");
`;
