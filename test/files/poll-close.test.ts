import { tmpdir } from 'node:os';
import { expect, it, vi } from 'vitest';

/** Runs in the middle of a look at the files, as another thread might. */
let meanwhile: () => void = () => {};

vi.mock('../../src/kernel/files/operations.js', async (original) => {
  const module = await original<typeof import('../../src/kernel/files/operations.js')>();
  return {
    ...module,
    pollFile: (...call: Parameters<typeof module.pollFile>) => {
      meanwhile();
      return module.pollFile(...call);
    },
  };
});

const { fileSyscalls } = await import('../../src/kernel/files/index.js');
const { BLOCKED } = await import('../../src/kernel/syscalls.js');
const { TestKernel, USER } = await import('./fixtures.js');

const [CLOSE, POLL, PIPE] = [3, 7, 22];

it('a pipe whose last descriptor goes while poll looks at it wakes the poller, which holds no lock then', () => {
  const kernel = new TestKernel(tmpdir());
  try {
    const call = (number: number, ...args: number[]) => {
      const [a = 0, b = 0, c = 0] = args;
      return fileSyscalls[number].handler(kernel.k, a, b, c, 0, 0, 0);
    };
    const ends = kernel.place(new Uint8Array(8));
    expect(call(PIPE, ends)).toBe(0);
    const [read] = new Int32Array(kernel.user.slice(ends - USER, ends - USER + 8).buffer);
    const watch = kernel.place(new Uint8Array(Int32Array.of(read, 1).buffer));
    let looks = 0;
    // The second look is the one under the pollers' lock.
    meanwhile = () => {
      if (++looks === 2) call(CLOSE, read);
    };
    expect(call(POLL, watch, 1, -1)).toBe(BLOCKED);
    expect(looks).toBe(2);
  } finally {
    meanwhile = () => {};
    kernel.close();
  }
});
