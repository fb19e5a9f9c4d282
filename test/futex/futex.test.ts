import { beforeEach, describe, expect, it } from 'vitest';
import { Errno } from '../../src/kernel/errno.js';
import { clearChildTid } from '../../src/kernel/exit.js';
import { exitRobustList } from '../../src/kernel/robust-list.js';
import { Signal } from '../../src/kernel/signal/numbers.js';
import { Restart } from '../../src/kernel/signal/registers.js';
import { Task } from '../../src/kernel/task.js';
import { RestartKind, restartWords } from '../../src/kernel/timespec.js';
import { BLOCKED, DATA, LAZY, TestKernel, type TestThread } from '../signal/kernel.js';

const [WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET, WAKE_BITSET] = [0, 1, 3, 4, 5, 9, 10];
const PRIVATE = 128;
const REALTIME = 256;
const A = DATA + 64;
const B = DATA + 128;
const TIME = DATA + 512;

let kernel: TestKernel;
let threads: TestThread[];
let main: TestThread;

beforeEach(() => {
  kernel = new TestKernel(5);
  while (kernel.threads.length < 5) kernel.addThread();
  [main, ...threads] = kernel.threads;
});

function setTime(seconds: number, nanoseconds: number): void {
  main.setWord64(TIME, seconds);
  main.setWord64(TIME + 8, nanoseconds);
}

describe('FUTEX_WAIT and FUTEX_WAKE', () => {
  it.each([0, PRIVATE])('wait until woken, first come first served (flags %i)', (flags) => {
    for (const thread of threads) expect(thread.call('futex', A, WAIT | flags, 0, 0)).toBe(BLOCKED);
    expect(main.call('futex', A, WAKE | flags, 2)).toBe(2);
    expect(threads.map((t) => t.asleep)).toEqual([false, false, true, true]);
    expect(threads[0].resume()).toBe(0);
    expect(threads[1].resume()).toBe(0);
    expect(main.call('futex', A, WAKE | flags, 0x7fff_ffff)).toBe(2);
    expect(main.call('futex', A, WAKE | flags, 1)).toBe(0);
  });

  it('do not meet with and without FUTEX_PRIVATE_FLAG, nor at another address', () => {
    expect(threads[0].call('futex', A, WAIT | PRIVATE, 0, 0)).toBe(BLOCKED);
    expect(main.call('futex', A, WAKE, 1)).toBe(0);
    expect(main.call('futex', A + 4, WAKE | PRIVATE, 1)).toBe(0);
    expect(main.call('futex', A, WAKE | PRIVATE, 1)).toBe(1);
  });

  it('answer what is wrong', () => {
    main.setWord(A, 5);
    expect(main.call('futex', A, WAIT, 4, 0)).toBe(-Errno.EAGAIN);
    expect(main.call('futex', A + 2, WAIT, 5, 0)).toBe(-Errno.EINVAL);
    expect(main.call('futex', 0x5000, WAIT, 0, 0)).toBe(-Errno.EFAULT);
    expect(main.call('futex', 0x5000, WAIT | PRIVATE, 0, 0)).toBe(-Errno.EFAULT);
    expect(main.call('futex', A, WAIT_BITSET, 5, 0, 0, 0)).toBe(-Errno.EINVAL);
    expect(main.call('futex', A, WAKE_BITSET, 5, 0, 0, 0)).toBe(-Errno.EINVAL);
    expect(main.call('futex', A, WAIT | REALTIME, 5, 0)).toBe(-Errno.ENOSYS);
    expect(main.call('futex', A, 63, 5, 0)).toBe(-Errno.ENOSYS);
    setTime(0, 1e9);
    expect(main.call('futex', A, WAIT, 5, TIME)).toBe(-Errno.EINVAL);
  });

  it('compare the word as 32 bits', () => {
    main.setWord(A, 0xffff_ffff);
    expect(main.call('futex', A, WAIT, 0xffff_ffff, 0)).toBe(BLOCKED);
  });

  it('make a page that is not there yet', () => {
    expect(main.call('futex', LAZY, WAIT | PRIVATE, 0, 0)).toBe(BLOCKED);
    expect(threads[0].call('futex', LAZY, WAKE | PRIVATE, 1)).toBe(1);
  });

  it('honour PKRU', () => {
    main.cpu.pkru = 1; // key 0: no access
    expect(main.call('futex', A, WAIT | PRIVATE, 0, 0)).toBe(-Errno.EFAULT);
  });
});

describe('timeouts', () => {
  it('are relative for FUTEX_WAIT', () => {
    setTime(1, 5);
    expect(main.call('futex', A, WAIT, 0, TIME)).toBe(BLOCKED);
    expect(main.k.deadline).toBe(kernel.clock.now + 1e9 + 5);
    expect(main.timeout()).toBe(-Errno.ETIMEDOUT);
    expect(threads[0].call('futex', A, WAKE, 1)).toBe(0);
  });

  it('are absolute for FUTEX_WAIT_BITSET, by the monotonic clock or the wall clock', () => {
    setTime(7, 0);
    expect(main.call('futex', A, WAIT_BITSET, 0, TIME, 0, -1 >>> 0)).toBe(BLOCKED);
    expect(main.k.deadline).toBe(7e9);
    expect(threads[0].call('futex', A, WAIT_BITSET | REALTIME, 0, TIME, 0, -1 >>> 0)).toBe(BLOCKED);
    expect(threads[0].k.deadline).toBe(7e9); // the test machine booted in 1970
  });

  it('that come together with a wake-up count as woken', () => {
    setTime(1, 0);
    expect(main.call('futex', A, WAIT, 0, TIME)).toBe(BLOCKED);
    expect(threads[0].call('futex', A, WAKE, 1)).toBe(1);
    expect(main.timeout()).toBe(0);
  });
});

describe('signals', () => {
  it('end a wait without timeout by ERESTARTSYS', () => {
    expect(main.call('futex', A, WAIT, 0, 0)).toBe(BLOCKED);
    threads[0].call('tkill', main.tid, Signal.USR1);
    expect(main.resume()).toBe(-Restart.ERESTARTSYS);
    expect(threads[0].call('futex', A, WAKE, 1)).toBe(0);
  });

  it('end a wait with timeout by a restart block that keeps the deadline', () => {
    setTime(3, 0);
    const deadline = kernel.clock.now + 3e9;
    expect(main.call('futex', A, WAIT, 0, TIME)).toBe(BLOCKED);
    kernel.clock.now += 1e9;
    threads[0].call('tkill', main.tid, Signal.TERM);
    expect(main.asleep).toBe(false);
    expect(main.resume()).toBe(-Restart.ERESTART_RESTARTBLOCK);
    expect(restartWords(main.k)).toMatchObject({ kind: RestartKind.futex, words: [A, 1, 0, -1, deadline] });
    expect(main.call('restart_syscall')).toBe(BLOCKED);
    expect(main.k.deadline).toBe(deadline);
    expect(threads[0].call('futex', A, WAKE, 1)).toBe(1);
    expect(main.resume()).toBe(0);
  });
});

describe('bit sets', () => {
  it('wake only those with a bit in common', () => {
    threads.forEach((thread, i) => {
      expect(thread.call('futex', A, WAIT_BITSET, 0, 0, 0, 1 << i)).toBe(BLOCKED);
    });
    expect(main.call('futex', A, WAKE_BITSET, 10, 0, 0, 0b1010)).toBe(2);
    expect(threads.map((t) => t.asleep)).toEqual([true, false, true, false]);
    expect(main.call('futex', A, WAKE, 10)).toBe(2);
  });
});

describe('requeueing', () => {
  it('wakes some and moves others, which the second futex then wakes', () => {
    for (const thread of threads) thread.call('futex', A, WAIT, 0, 0);
    expect(main.call('futex', A, CMP_REQUEUE, 1, 2, B, 0)).toBe(3);
    expect(threads.map((t) => t.asleep)).toEqual([false, true, true, true]);
    expect(main.call('futex', B, WAKE, 10)).toBe(2);
    expect(main.call('futex', A, WAKE, 10)).toBe(1);
    expect(threads.map((t) => t.resume())).toEqual([0, 0, 0, 0]);
  });

  it('compares first', () => {
    threads[0].call('futex', A, WAIT, 0, 0);
    expect(main.call('futex', A, CMP_REQUEUE, 1, 1, B, 7)).toBe(-Errno.EAGAIN);
    expect(threads[0].asleep).toBe(true);
    expect(main.call('futex', A, CMP_REQUEUE, -1, 1, B, 0)).toBe(-Errno.EINVAL);
  });

  it('FUTEX_REQUEUE does not compare', () => {
    threads[0].call('futex', A, WAIT, 0, 0);
    main.setWord(A, 9);
    expect(main.call('futex', A, REQUEUE, 0, 1, B)).toBe(1);
    expect(main.call('futex', B, WAKE, 1)).toBe(1);
  });

  it('a moved waiter can still time out, and is in no queue then', () => {
    setTime(1, 0);
    threads[0].call('futex', A, WAIT, 0, TIME);
    main.call('futex', A, CMP_REQUEUE, 0, 1, B, 0);
    expect(threads[0].timeout()).toBe(-Errno.ETIMEDOUT);
    expect(main.call('futex', B, WAKE, 1)).toBe(0);
  });
});

describe('FUTEX_WAKE_OP', () => {
  const encode = (operation: number, argument: number, compare: number, against: number) =>
    ((operation << 28) | (compare << 24) | ((argument & 0xfff) << 12) | (against & 0xfff)) >>> 0;
  const [SET, ADD, OR, ANDN, XOR, SHIFT] = [0, 1, 2, 3, 4, 8];
  const [EQ, NE, LT, LE, GT, GE] = [0, 1, 2, 3, 4, 5];

  it.each([
    [SET, 7, 5, 7],
    [ADD, -3, 5, 2],
    [OR, 8, 5, 13],
    [ANDN, 4, 5, 1],
    [XOR, 1, 5, 4],
    [SET | SHIFT, 4, 5, 16],
  ])('operation %i with %i makes %i to %i', (operation, argument, before, after) => {
    main.setWord(B, before);
    expect(main.call('futex', A, WAKE_OP, 1, 1, B, encode(operation, argument, EQ, 0))).toBe(0);
    expect(main.word(B)).toBe(after);
  });

  it.each([
    [EQ, 5, true],
    [EQ, 4, false],
    [NE, 4, true],
    [LT, 6, true],
    [LT, 5, false],
    [LE, 5, true],
    [GT, -1, true],
    [GE, 6, false],
  ])('comparison %i with %i wakes the second queue: %s', (compare, against, holds) => {
    threads[0].call('futex', A, WAIT, 0, 0);
    main.setWord(B, 5);
    threads[1].call('futex', B, WAIT, 5, 0);
    expect(main.call('futex', A, WAKE_OP, 1, 1, B, encode(ADD, 1, compare, against))).toBe(holds ? 2 : 1);
    expect(threads[0].asleep).toBe(false);
    expect(threads[1].asleep).toBe(!holds);
  });

  it('refuses unknown operations before it does anything', () => {
    threads[0].call('futex', A, WAIT, 0, 0);
    expect(main.call('futex', A, WAKE_OP, 1, 1, B, encode(5, 0, EQ, 0))).toBe(-Errno.ENOSYS);
    expect(main.call('futex', A, WAKE_OP, 1, 1, 0x5000, encode(ADD, 0, EQ, 0))).toBe(-Errno.EFAULT);
    expect(threads[0].asleep).toBe(true);
  });
});

describe('the end of a thread', () => {
  it('clears the word of set_tid_address and wakes who joins', () => {
    main.setWord(A, main.tid);
    expect(main.call('set_tid_address', A)).toBe(main.tid);
    expect(threads[0].call('futex', A, WAIT, main.tid, 0)).toBe(BLOCKED);
    clearChildTid(main.k);
    expect(main.word(A)).toBe(0);
    expect(threads[0].asleep).toBe(false);
  });

  /** A list head at DATA with two mutexes whose words lie 32 bytes before their links. */
  function robustList(): { words: number[] } {
    const head = DATA + 1024;
    const links = [DATA + 1100 + 4, DATA + 1200];
    main.setWord64(head, links[0]);
    main.setWord64(head + 8, -32);
    main.setWord64(head + 16, 0);
    main.setWord64(links[0], links[1]);
    main.setWord64(links[1], head);
    expect(main.call('set_robust_list', head, 24)).toBe(0);
    return { words: links.map((link) => link - 32) };
  }

  it('marks the robust mutexes it holds and wakes a waiter of each', () => {
    const { words } = robustList();
    main.setWord(words[0], (main.tid | 0x8000_0000) >>> 0);
    main.setWord(words[1], threads[0].tid); // somebody else's
    expect(threads[1].call('futex', words[0], WAIT, (main.tid | 0x8000_0000) >>> 0, 0)).toBe(BLOCKED);
    exitRobustList(main.k);
    expect(main.word(words[0])).toBe(0xc000_0000);
    expect(main.word(words[1])).toBe(threads[0].tid);
    expect(threads[1].asleep).toBe(false);
  });

  it('survives a circular list and one that leads nowhere', () => {
    const { words } = robustList();
    main.setWord64(words[1] + 32, words[0] + 32);
    exitRobustList(main.k);
    kernel.memory.storeNumber(main.task + Task.robustList, DATA + 1024);
    main.setWord64(words[0] + 32, 0x5000);
    main.setWord(words[0], main.tid);
    exitRobustList(main.k);
    expect(main.word(words[0])).toBe(0x4000_0000);
  });

  it('get_robust_list tells head and length', () => {
    robustList();
    expect(threads[0].call('get_robust_list', main.tid, DATA, DATA + 8)).toBe(0);
    expect(main.word(DATA)).toBe(DATA + 1024);
    expect(main.word(DATA + 8)).toBe(24);
    expect(main.call('set_robust_list', DATA, 23)).toBe(-Errno.EINVAL);
  });
});
