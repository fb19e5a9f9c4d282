import { beforeEach, describe, expect, it } from 'vitest';
import { CpuState, DR6_BS, Gpr, PfError, Vector } from '../../src/cpu/state.js';
import { PKRU_OFFSET } from '../../src/cpu/xsave.js';
import { Errno } from '../../src/kernel/errno.js';
import type { AbiName } from '../../src/kernel/pkeys/names.js';
import { deliverSignals, type FatalSignal } from '../../src/kernel/signal/deliver.js';
import { raiseException } from '../../src/kernel/signal/exceptions.js';
import { SI_ADDR, SigFrame, SigInfo } from '../../src/kernel/signal/frame-layout.js';
import { sendFromHost } from '../../src/kernel/signal/host.js';
import { Sa, SiCode, Signal, signalName } from '../../src/kernel/signal/numbers.js';
import { Restart } from '../../src/kernel/signal/registers.js';
import { processSignalsOf } from '../../src/kernel/signal/links.js';
import { actionPointer, SigAction, TaskSignals } from '../../src/kernel/signal/state.js';
import { Task } from '../../src/kernel/task.js';
import { expireTimers } from '../../src/kernel/timers.js';
import { BLOCKED, DATA, TestKernel, type TestThread } from './kernel.js';

const HANDLER = 0x40_1000;
const RESTORER = 0x40_2000;
const RIP = 0x40_5678;
const ACTION = DATA + 256;
const OLD = DATA + 320;
const SET = DATA + 384;
const INFO = DATA + 512;
const SI_TKILL = SiCode.TKILL;
const NR_READ = 0;

let kernel: TestKernel;
let main: TestThread;
let other: TestThread;

beforeEach(() => {
  kernel = new TestKernel(3);
  main = kernel.threads[0];
  other = kernel.addThread();
});

const mask = (...signals: number[]) => signals.reduce((bits, signal) => bits + 2 ** (signal - 1), 0);

function handle(signal: number, flags = 0, blocked = 0, handler = HANDLER): void {
  main.setWord64(ACTION, handler);
  main.setWord64(ACTION + 8, (flags | Sa.RESTORER) >>> 0);
  main.setWord64(ACTION + 16, RESTORER);
  main.setWord64(ACTION + 24, blocked);
  expect(main.call('rt_sigaction', signal, ACTION, 0, 8)).toBe(0);
}

function block(thread: TestThread, ...signals: number[]): void {
  thread.setWord64(SET, mask(...signals));
  expect(thread.call('rt_sigprocmask', 2, SET, 0, 8)).toBe(0);
}

const register = (thread: TestThread, number: number) => thread.k.register(number);
const rip = (thread: TestThread) => thread.k.rip;
const notified = (thread: TestThread) =>
  kernel.memory.load32(thread.task + Task.signals + TaskSignals.notify);
const blockedBy = (thread: TestThread) =>
  kernel.memory.loadNumber(thread.task + Task.signals + TaskSignals.blocked);

function at(thread: TestThread, address = RIP): void {
  kernel.memory.storeNumber(thread.cpu.base + CpuState.rip, address);
}

/** A field of the frame that RSP points at. */
const frame32 = (thread: TestThread, offset: number) => thread.word(register(thread, Gpr.rsp) + offset) | 0;
const frame64 = (thread: TestThread, offset: number) =>
  thread.k.user.readU64(register(thread, Gpr.rsp) + offset);

function deliver(thread: TestThread, syscall = -1): FatalSignal | string {
  const delivered = deliverSignals(thread.k, syscall);
  return delivered.kind === 'fatal' ? delivered.signal : delivered.kind;
}

/** What the restorer does after the handler's RET. */
function sigreturn(thread: TestThread): void {
  thread.k.setRegister(Gpr.rsp, register(thread, Gpr.rsp) + 8);
  thread.call('rt_sigreturn');
}

describe('delivery to a handler', () => {
  it('runs it with signal, siginfo and context, and comes back', () => {
    handle(Signal.USR1, Sa.SIGINFO, mask(Signal.HUP));
    at(main);
    main.k.setRegister(Gpr.rax, 77);
    const before = kernel.memory.u8.slice(main.cpu.base, main.cpu.base + CpuState.ccDst);
    expect(other.call('tgkill', main.k.pid, main.tid, Signal.USR1)).toBe(0);
    expect(notified(main)).toBe(1);
    expect(deliver(main)).toBe('user');
    expect(rip(main)).toBe(HANDLER);
    expect(register(main, Gpr.rdi)).toBe(Signal.USR1);
    expect(frame64(main, SigFrame.pretcode)).toBe(RESTORER);
    expect(frame64(main, SigFrame.rip)).toBe(RIP);
    expect(frame32(main, SigFrame.info + SigInfo.signo)).toBe(Signal.USR1);
    expect(frame32(main, SigFrame.info + SigInfo.code)).toBe(SI_TKILL);
    expect(frame32(main, SigFrame.info + SigInfo.pid)).toBe(main.k.pid);
    expect(blockedBy(main)).toBe(mask(Signal.USR1, Signal.HUP));
    expect(notified(main)).toBe(0);
    sigreturn(main);
    expect(kernel.memory.u8.slice(main.cpu.base, main.cpu.base + CpuState.ccDst)).toEqual(before);
    expect(blockedBy(main)).toBe(0);
  });

  it('SA_NODEFER leaves the signal unblocked, SA_RESETHAND forgets the handler', () => {
    handle(Signal.USR1, Sa.NODEFER | Sa.RESETHAND);
    main.call('tkill', main.tid, Signal.USR1);
    expect(deliver(main)).toBe('user');
    expect(blockedBy(main)).toBe(0);
    main.call('tkill', main.tid, Signal.USR1);
    expect(deliver(main)).toMatchObject({ signal: Signal.USR1, code: SI_TKILL });
  });

  it('stacks frames when several signals are pending, the lowest number outermost to return', () => {
    handle(Signal.USR2, 0, 0, HANDLER + 2);
    handle(Signal.HUP, 0, 0, HANDLER + 1);
    at(main);
    main.call('tkill', main.tid, Signal.USR2);
    main.call('tkill', main.tid, Signal.HUP);
    expect(deliver(main)).toBe('user');
    expect(rip(main)).toBe(HANDLER + 2);
    sigreturn(main);
    expect(rip(main)).toBe(HANDLER + 1);
    sigreturn(main);
    expect(rip(main)).toBe(RIP);
  });

  it('keeps a blocked signal until it is unblocked, once for standard and each time for real-time signals', () => {
    handle(Signal.USR1);
    handle(40, 0, 0, HANDLER + 40);
    block(main, Signal.USR1, 40);
    at(main);
    for (let i = 0; i < 3; i++) {
      main.call('tkill', main.tid, Signal.USR1);
      main.call('tkill', main.tid, 40);
    }
    expect(deliver(main)).toBe('user');
    expect(rip(main)).toBe(RIP);
    expect(main.call('rt_sigpending', OLD, 8)).toBe(0);
    expect(main.k.user.readU64(OLD)).toBe(mask(Signal.USR1, 40));
    block(main);
    const handled: number[] = [];
    for (deliver(main); rip(main) !== RIP; ) {
      handled.push(rip(main) - HANDLER);
      sigreturn(main);
      if (notified(main)) deliver(main);
    }
    expect(handled).toEqual([40, 40, 40, 0]);
  });

  it('delivers queued values in order', () => {
    handle(50, Sa.SIGINFO);
    block(main, 50);
    for (const value of [11, 22, 33]) {
      main.setWord64(INFO, 0);
      main.setWord(INFO + 8, SiCode.QUEUE >>> 0);
      main.setWord64(INFO + 24, value);
      expect(other.call('rt_sigqueueinfo', main.k.pid, 50, INFO)).toBe(0);
    }
    const values: number[] = [];
    for (let i = 0; i < 3; i++) {
      expect(main.call('rt_sigtimedwait', SET, INFO, 0, 8)).toBe(50);
      values.push(main.word(INFO + 24));
    }
    expect(values).toEqual([11, 22, 33]);
  });

  it('a signal to the process goes to a thread that does not block it', () => {
    handle(Signal.TERM);
    block(main, Signal.TERM);
    expect(main.call('kill', main.k.pid, Signal.TERM)).toBe(0);
    expect([notified(main), notified(other)]).toEqual([0, 1]);
    block(other, Signal.TERM);
    expect(notified(other)).toBe(0);
    // Whoever unblocks it first takes it.
    block(main);
    expect(deliver(main)).toBe('user');
    expect(rip(main)).toBe(HANDLER);
  });

  it('a thread that blocks a signal it was chosen for passes it on', () => {
    handle(Signal.TERM);
    main.call('kill', main.k.pid, Signal.TERM);
    const [chosen, spare] = notified(main) ? [main, other] : [other, main];
    block(chosen, Signal.TERM);
    expect(notified(spare)).toBe(1);
  });

  it('a stack that cannot be written makes SIGSEGV, and kills if that cannot be handled either', () => {
    handle(Signal.USR1);
    main.k.setRegister(Gpr.rsp, 0x1000);
    main.call('tkill', main.tid, Signal.USR1);
    expect(deliver(main)).toMatchObject({ signal: Signal.SEGV, code: SiCode.KERNEL });
    handle(Signal.SEGV);
    main.call('tkill', main.tid, Signal.USR1);
    expect(deliver(main)).toMatchObject({ signal: Signal.SEGV, code: SiCode.KERNEL });
  });

  it('a denied stack is not written', () => {
    handle(Signal.USR1);
    main.cpu.pkru = 2; // key 0: no writes
    main.call('tkill', main.tid, Signal.USR1);
    expect(deliver(main)).toMatchObject({ signal: Signal.SEGV, pkru: 2 });
  });

  it('a bad frame is a SIGSEGV', () => {
    handle(Signal.SEGV, Sa.SIGINFO);
    at(main);
    main.k.setRegister(Gpr.rsp, DATA + 4096);
    main.call('rt_sigreturn');
    expect(notified(main)).toBe(1);
    main.k.setRegister(Gpr.rsp, 0x7000_1f00);
    expect(deliver(main)).toBe('user');
    expect(frame32(main, SigFrame.info + SigInfo.code)).toBe(SiCode.KERNEL);
  });
});

describe('PKRU', () => {
  const INTERRUPTED = 0xc000_0004; // key 15 denied, key 1 denied
  it.each<[AbiName, number]>([
    ['linux', 0x5555_5554],
    ['minimal', 0xc000_0000],
    ['mm-bitmap', 0],
    ['task-bitmap', 0],
    ['vdso', 0],
  ])('of a handler is what the ABI %s says, and the interrupted one comes back', (abi, expected) => {
    kernel = new TestKernel(1, abi);
    main = kernel.threads[0];
    handle(Signal.USR1);
    main.cpu.pkru = INTERRUPTED;
    main.call('tkill', main.tid, Signal.USR1);
    expect(deliver(main)).toBe('user');
    expect(main.cpu.pkru).toBe(expected);
    expect(main.word(frame64(main, SigFrame.fpstate) + PKRU_OFFSET)).toBe(INTERRUPTED);
    sigreturn(main);
    expect(main.cpu.pkru).toBe(INTERRUPTED);
  });
});

describe('default actions', () => {
  it('ignore, terminate and say who sent it', () => {
    main.call('tkill', main.tid, Signal.CHLD);
    expect(notified(main)).toBe(0);
    main.call('tkill', main.tid, Signal.TERM);
    expect(deliver(main)).toMatchObject({ signal: Signal.TERM, sender: main.k.pid, vector: -1 });
  });

  it('SIG_IGN drops, and discards what is pending', () => {
    handle(Signal.USR1);
    block(main, Signal.USR1);
    main.call('tkill', main.tid, Signal.USR1);
    handle(Signal.USR1, 0, 0, 1);
    block(main);
    expect(notified(main)).toBe(0);
    main.call('tkill', main.tid, Signal.USR1);
    expect(notified(main)).toBe(0);
  });

  it('stop signals stop all threads until SIGCONT', () => {
    main.call('kill', main.k.pid, Signal.STOP);
    expect(deliver(main)).toBe('stopped');
    expect(notified(other)).toBe(1);
    expect(deliver(other)).toBe('stopped');
    sendFromHost(kernel.memory, Signal.CONT);
    expect(deliver(main)).toBe('user');
    expect(deliver(other)).toBe('user');
    expect(notified(other)).toBe(0);
  });

  it('SIGKILL gets through a stop, and cannot be handled or blocked', () => {
    main.call('kill', main.k.pid, Signal.TSTP);
    expect(deliver(main)).toBe('stopped');
    block(main, Signal.KILL);
    expect(blockedBy(main)).toBe(0);
    expect(main.call('rt_sigaction', Signal.KILL, ACTION, 0, 8)).toBe(-Errno.EINVAL);
    sendFromHost(kernel.memory, Signal.KILL);
    expect(deliver(notified(main) ? main : other)).toMatchObject({
      signal: Signal.KILL,
      code: SiCode.KERNEL,
    });
  });

  it('have names', () => {
    expect([1, 11, 34, 36].map(signalName)).toEqual(['SIGHUP', 'SIGSEGV', 'SIGRTMIN', 'SIGRTMIN+2']);
  });
});

describe('exceptions', () => {
  function raise(vector: number, errorCode = 0, address = 0, pkey = 0, code: number = SiCode.SEGV_MAPERR) {
    const { memory } = kernel;
    memory.store32(main.cpu.base + CpuState.vector, vector);
    memory.store32(main.cpu.base + CpuState.errorCode, errorCode);
    memory.storeNumber(main.cpu.base + CpuState.faultAddress, address);
    at(main);
    return raiseException(main.k, vector === Vector.PF ? { signal: Signal.SEGV, code, pkey } : null);
  }

  it.each([
    ['#DE', Vector.DE, Signal.FPE, SiCode.FPE_INTDIV, RIP, true],
    ['#DB of INT1', Vector.DB, Signal.TRAP, SiCode.TRAP_BRKPT, RIP, false],
    ['#BP', Vector.BP, Signal.TRAP, SiCode.KERNEL, 0, false],
    ['#UD', Vector.UD, Signal.ILL, SiCode.ILL_ILLOPN, RIP, true],
    ['#GP', Vector.GP, Signal.SEGV, SiCode.KERNEL, 0, true],
    ['#SS', Vector.SS, Signal.BUS, SiCode.KERNEL, 0, true],
    ['#AC', Vector.AC, Signal.BUS, SiCode.BUS_ADRALN, 0, true],
  ])('%s', (_name, vector, signal, code, address, fault) => {
    handle(signal, Sa.SIGINFO);
    expect(raise(vector)).toEqual({ kind: 'user' });
    expect(rip(main)).toBe(HANDLER);
    expect(register(main, Gpr.rdi)).toBe(signal);
    expect(frame32(main, SigFrame.info + SigInfo.code)).toBe(code);
    expect(frame64(main, SigFrame.info + SI_ADDR)).toBe(address);
    expect(frame64(main, SigFrame.trapno)).toBe(vector);
    expect((frame32(main, SigFrame.eflags) & 0x1_0000) !== 0).toBe(fault);
  });

  it('#DB of a single step', () => {
    handle(Signal.TRAP, Sa.SIGINFO);
    expect(raise(Vector.DB, DR6_BS)).toEqual({ kind: 'user' });
    expect(frame32(main, SigFrame.info + SigInfo.code)).toBe(SiCode.TRAP_TRACE);
    expect(frame64(main, SigFrame.err)).toBe(0);
  });

  it('#PF of a key tells key, address, error code and CR2', () => {
    handle(Signal.SEGV, Sa.SIGINFO);
    const error = PfError.present | PfError.write | PfError.user | PfError.pk;
    expect(raise(Vector.PF, error, 0x7fff_1234_5678, 9, SiCode.SEGV_PKUERR)).toEqual({ kind: 'user' });
    expect(frame32(main, SigFrame.info + SigInfo.code)).toBe(SiCode.SEGV_PKUERR);
    expect(frame64(main, SigFrame.info + SI_ADDR)).toBe(0x7fff_1234_5678);
    expect(frame32(main, SigFrame.info + 0x20)).toBe(9);
    expect(frame64(main, SigFrame.err)).toBe(0x27);
    expect(frame64(main, SigFrame.cr2)).toBe(0x7fff_1234_5678);
    expect(frame64(main, SigFrame.trapno)).toBe(14);
  });

  it('#PF in the kernel half looks like a protection fault', () => {
    handle(Signal.SEGV, Sa.SIGINFO);
    raise(Vector.PF, PfError.user, 0xffff_8000_0000_0000);
    expect(frame64(main, SigFrame.err)).toBe(PfError.user | PfError.present);
    expect(main.word(register(main, Gpr.rsp) + SigFrame.info + SI_ADDR + 4)).toBe(0xffff_8000);
  });

  it.each([0xffff_ffff_ffff_fffbn, 0xffff_ffff_ff60_0001n, 0x1000_0000_0000_0003n])(
    '%s is told to the bit, as an address and as RIP',
    (address) => {
      const { u64 } = kernel.memory;
      handle(Signal.SEGV, Sa.SIGINFO | Sa.NODEFER);
      handle(Signal.ILL, Sa.SIGINFO);
      const raiseAt = (vector: number) => {
        kernel.memory.store32(main.cpu.base + CpuState.vector, vector);
        kernel.memory.store32(main.cpu.base + CpuState.errorCode, PfError.user | PfError.fetch);
        u64[(main.cpu.base + CpuState.faultAddress) >>> 3] = address;
        u64[(main.cpu.base + CpuState.rip) >>> 3] = address;
        return raiseException(main.k, null);
      };
      const told = (field: number) =>
        Buffer.from(main.k.user.readBytes(register(main, Gpr.rsp) + field, 8)!).readBigUInt64LE();
      raiseAt(Vector.PF);
      expect([SigFrame.info + SI_ADDR, SigFrame.cr2, SigFrame.rip].map(told)).toEqual([
        address,
        address,
        address,
      ]);
      raiseAt(Vector.UD);
      expect([SigFrame.info + SI_ADDR, SigFrame.rip].map(told)).toEqual([address, address]);
      handle(Signal.SEGV, 0, 0, 0);
      expect(raiseAt(Vector.PF)).toMatchObject({ kind: 'fatal', signal: { address, rip: address } });
    },
  );

  it('handler and restorer are used to the bit', () => {
    const { u64 } = kernel.memory;
    handle(Signal.USR1);
    const action = actionPointer(processSignalsOf(main.k.process), Signal.USR1);
    u64[(action + SigAction.handler) >>> 3] = 0x8000_0000_0000_0001n;
    u64[(action + SigAction.restorer) >>> 3] = 0xffff_ffff_ffff_fffbn;
    at(main);
    main.call('tkill', main.tid, Signal.USR1);
    expect(deliver(main)).toBe('user');
    expect(u64[(main.cpu.base + CpuState.rip) >>> 3]).toBe(0x8000_0000_0000_0001n);
    const restorer = main.k.user.readBytes(register(main, Gpr.rsp) + SigFrame.pretcode, 8)!;
    expect(Buffer.from(restorer).readBigUInt64LE()).toBe(0xffff_ffff_ffff_fffbn);
  });

  it('#XM and #MF tell which unmasked exception it was; without one they are none', () => {
    handle(Signal.FPE, Sa.SIGINFO | Sa.NODEFER);
    const { memory } = kernel;
    const mxcsr = main.cpu.base + CpuState.mxcsr;
    memory.store32(mxcsr, 0x1f80 | 4);
    expect(raise(Vector.XM)).toEqual({ kind: 'user' });
    expect(rip(main)).toBe(RIP);
    memory.store32(mxcsr, (0x1f80 & ~0x200) | 4);
    raise(Vector.XM);
    expect(frame32(main, SigFrame.info + SigInfo.code)).toBe(SiCode.FPE_FLTDIV);
    memory.u16[(main.cpu.base + CpuState.fcw) >> 1] = 0x37f & ~1;
    memory.u16[(main.cpu.base + CpuState.fsw) >> 1] = 0x81;
    raise(Vector.MF);
    expect(frame32(main, SigFrame.info + SigInfo.code)).toBe(SiCode.FPE_FLTINV);
  });

  it('cannot be blocked or ignored', () => {
    handle(Signal.SEGV);
    block(main, Signal.SEGV);
    expect(raise(Vector.PF, 4, 0x123)).toMatchObject({
      kind: 'fatal',
      signal: {
        signal: Signal.SEGV,
        code: SiCode.SEGV_MAPERR,
        address: 0x123n,
        rip: BigInt(RIP),
        vector: 14,
        errorCode: 4,
      },
    });
    handle(Signal.ILL, 0, 0, 1);
    expect(raise(Vector.UD)).toMatchObject({ kind: 'fatal', signal: { signal: Signal.ILL } });
  });
});

describe('interrupted system calls', () => {
  function interrupted(result: number, flags: number | null): { rax: number; restarted: boolean } {
    if (flags !== null) {
      handle(Signal.USR1, flags);
      main.call('tkill', main.tid, Signal.USR1);
    }
    at(main);
    main.k.setRegister(Gpr.rax, result);
    deliver(main, NR_READ);
    if (flags === null)
      return { rax: kernel.memory.load32(main.cpu.base + CpuState.gpr), restarted: rip(main) === RIP - 2 };
    return { rax: frame32(main, SigFrame.rax), restarted: frame64(main, SigFrame.rip) === RIP - 2 };
  }
  const EINTR = { rax: -Errno.EINTR, restarted: false };
  const AGAIN = { rax: NR_READ, restarted: true };

  it.each([
    ['ERESTARTSYS', Restart.ERESTARTSYS, 0, EINTR],
    ['ERESTARTSYS', Restart.ERESTARTSYS, Sa.RESTART, AGAIN],
    ['ERESTARTSYS', Restart.ERESTARTSYS, null, AGAIN],
    ['ERESTARTNOINTR', Restart.ERESTARTNOINTR, 0, AGAIN],
    ['ERESTARTNOHAND', Restart.ERESTARTNOHAND, Sa.RESTART, EINTR],
    ['ERESTARTNOHAND', Restart.ERESTARTNOHAND, null, AGAIN],
    ['ERESTART_RESTARTBLOCK', Restart.ERESTART_RESTARTBLOCK, Sa.RESTART, EINTR],
    ['ERESTART_RESTARTBLOCK', Restart.ERESTART_RESTARTBLOCK, null, { rax: 219, restarted: true }],
  ])('%s with handler flags %#', (_name, code, flags, expected) => {
    expect(interrupted(-code, flags)).toEqual(expected);
  });

  it('other results stay as they are', () => {
    expect(interrupted(-Errno.EBADF, Sa.RESTART)).toEqual({ rax: -Errno.EBADF, restarted: false });
  });

  it('a RAX that only looks like one is left alone after rt_sigreturn', () => {
    at(main);
    main.k.setRegister(Gpr.rax, -Restart.ERESTARTSYS);
    expect(deliver(main, 15)).toBe('user');
    expect(rip(main)).toBe(RIP);
    expect(kernel.memory.load32(main.cpu.base + CpuState.gpr)).toBe(-Restart.ERESTARTSYS);
  });

  it('are settled when the process continues after a stop', () => {
    main.call('kill', main.k.pid, Signal.STOP);
    at(main);
    main.k.setRegister(Gpr.rax, -Restart.ERESTARTSYS);
    expect(deliver(main, NR_READ)).toBe('stopped');
    sendFromHost(kernel.memory, Signal.CONT);
    expect(deliver(main)).toBe('user');
    expect(register(main, Gpr.rax)).toBe(NR_READ);
    expect(rip(main)).toBe(RIP - 2);
  });

  it('nanosleep tells what is left and can be continued', () => {
    main.setWord64(SET, 5);
    main.setWord64(SET + 8, 0);
    expect(main.call('nanosleep', SET, OLD)).toBe(BLOCKED);
    kernel.clock.now += 2e9;
    other.call('tkill', main.tid, Signal.TERM);
    expect(main.resume()).toBe(-Restart.ERESTART_RESTARTBLOCK);
    expect(main.k.user.readU64(OLD)).toBe(3);
    expect(main.call('restart_syscall')).toBe(BLOCKED);
    expect(main.timeout()).toBe(0);
  });
});

describe('waiting for signals', () => {
  it('sigsuspend changes the mask until the handler runs, which returns to the old one', () => {
    handle(Signal.USR1);
    block(main, Signal.USR1, Signal.HUP);
    main.setWord64(SET, mask(Signal.USR2));
    expect(main.call('rt_sigsuspend', SET, 8)).toBe(BLOCKED);
    other.call('tkill', main.tid, Signal.USR2);
    expect(main.asleep).toBe(true);
    other.call('tkill', main.tid, Signal.USR1);
    const result = main.resume();
    expect(result).toBe(-Restart.ERESTARTNOHAND);
    main.k.setRegister(Gpr.rax, result);
    expect(deliver(main, 130)).toBe('user');
    expect(frame32(main, SigFrame.rax)).toBe(-Errno.EINTR);
    expect(blockedBy(main)).toBe(mask(Signal.USR1, Signal.USR2));
    sigreturn(main);
    expect(blockedBy(main)).toBe(mask(Signal.USR1, Signal.HUP));
  });

  it('sigtimedwait takes a blocked signal, from before or from later', () => {
    block(main, Signal.USR1);
    main.call('tkill', main.tid, Signal.USR1);
    expect(main.call('rt_sigtimedwait', SET, INFO, 0, 8)).toBe(Signal.USR1);
    expect(main.word(INFO + 8) | 0).toBe(SI_TKILL);
    expect(main.call('rt_sigtimedwait', SET, 0, 0, 8)).toBe(BLOCKED);
    other.call('kill', main.k.pid, Signal.USR1);
    expect(main.asleep).toBe(false);
    expect(main.resume()).toBe(Signal.USR1);
    expect(notified(main)).toBe(0);
  });

  it('sigtimedwait ends by its timeout, and by another signal', () => {
    block(main, Signal.USR1);
    main.setWord64(INFO, 0);
    main.setWord64(INFO + 8, 5);
    expect(main.call('rt_sigtimedwait', SET, 0, INFO, 8)).toBe(BLOCKED);
    expect(main.timeout()).toBe(-Errno.EAGAIN);
    expect(main.call('rt_sigtimedwait', SET, 0, INFO, 8)).toBe(BLOCKED);
    other.call('tkill', main.tid, Signal.TERM);
    expect(main.resume()).toBe(-Errno.EINTR);
    main.setWord64(INFO + 8, 0);
    expect(main.call('rt_sigtimedwait', SET, 0, INFO, 8)).toBe(-Errno.EAGAIN);
  });

  it('pause waits for a handler', () => {
    expect(main.call('pause')).toBe(BLOCKED);
    other.call('tkill', main.tid, Signal.CHLD);
    expect(main.asleep).toBe(true);
    other.call('tkill', main.tid, Signal.HUP);
    expect(main.resume()).toBe(-Restart.ERESTARTNOHAND);
  });

  it('alarm and setitimer send SIGALRM when the scheduler looks at deadlines', () => {
    handle(Signal.ALRM);
    expect(main.call('alarm', 2)).toBe(0);
    expect(expireTimers(kernel.memory, kernel.clock.now)).toBe(3e9);
    expect(main.call('alarm', 5)).toBe(2);
    expect(main.call('alarm', 0)).toBe(5);
    expect(expireTimers(kernel.memory, 1e12)).toBe(Number.POSITIVE_INFINITY);
    main.setWord64(SET, 0);
    main.setWord64(SET + 8, 250_000); // every quarter of a second
    main.setWord64(SET + 16, 1);
    main.setWord64(SET + 24, 0);
    expect(main.call('setitimer', 0, SET, 0)).toBe(0);
    kernel.clock.now += 1.6e9;
    expect(expireTimers(kernel.memory, kernel.clock.now)).toBe(1e9 + 1.75e9);
    const taker = notified(main) ? main : other;
    expect(deliver(taker)).toBe('user');
    expect(rip(taker)).toBe(HANDLER);
    expect(main.call('getitimer', 0, OLD)).toBe(0);
    expect(main.word(OLD + 24)).toBe(150_000);
  });
});

describe('calls', () => {
  it('rt_sigaction returns the old action and drops unknown flags', () => {
    handle(Signal.USR1, Sa.SIGINFO | 0x1000, mask(Signal.KILL, Signal.HUP));
    expect(main.call('rt_sigaction', Signal.USR1, 0, OLD, 8)).toBe(0);
    const word = (i: number) => main.k.user.readU64(OLD + 8 * i);
    expect([word(0), word(1), word(2), word(3)]).toEqual([
      HANDLER,
      Sa.SIGINFO | Sa.RESTORER,
      RESTORER,
      mask(Signal.HUP),
    ]);
  });

  it.each<[string, number[], number]>([
    ['rt_sigaction', [65, 0, OLD, 8], Errno.EINVAL],
    ['rt_sigaction', [0, 0, OLD, 8], Errno.EINVAL],
    ['rt_sigaction', [10, 0, OLD, 4], Errno.EINVAL],
    ['rt_sigaction', [10, 0x1000, 0, 8], Errno.EFAULT],
    ['rt_sigaction', [10, 0, 0x1000, 8], Errno.EFAULT],
    ['rt_sigprocmask', [9, SET, 0, 8], Errno.EINVAL],
    ['rt_sigprocmask', [0, 0x1000, 0, 8], Errno.EFAULT],
    ['kill', [1, 65], Errno.EINVAL],
    ['kill', [31000, 0], Errno.ESRCH],
    ['tgkill', [0, 1, 10], Errno.EINVAL],
    ['tgkill', [1, 31000, 10], Errno.ESRCH],
    ['tkill', [-1, 10], Errno.EINVAL],
    ['sigaltstack', [0x1000, 0], Errno.EFAULT],
    ['rt_sigsuspend', [SET, 4], Errno.EINVAL],
    ['clock_gettime', [12, OLD], Errno.EINVAL],
    ['clock_nanosleep', [3, 0, SET, 0], Errno.EOPNOTSUPP],
    ['setitimer', [3, 0, 0], Errno.EINVAL],
    ['sched_getaffinity', [0, 4, OLD], Errno.EINVAL],
    ['sched_setscheduler', [0, 1, SET], Errno.EINVAL],
    ['membarrier', [8, 0], Errno.EPERM],
    ['membarrier', [3, 0], Errno.EINVAL],
    ['rseq', [DATA, 32, 0, 0], Errno.ENOSYS],
    ['fork', [], Errno.ENOSYS],
    ['clone', [0x1_0000, 0, 0, 0, 0], Errno.EINVAL],
  ])('%s(%j) fails', (name, args, errno) => {
    expect(main.call(name, ...args)).toBe(-errno);
  });

  it('sigaltstack tells where it is, refuses to change it in use, and too small ones', () => {
    main.setWord64(SET, DATA + 4096);
    main.setWord64(SET + 8, 0);
    main.setWord64(SET + 16, 2047);
    expect(main.call('sigaltstack', SET, 0)).toBe(-Errno.ENOMEM);
    main.setWord64(SET + 16, 4096);
    expect(main.call('sigaltstack', SET, 0)).toBe(0);
    main.k.setRegister(Gpr.rsp, DATA + 8192 - 64);
    expect(main.call('sigaltstack', SET, OLD)).toBe(-Errno.EPERM);
    expect(main.call('sigaltstack', 0, OLD)).toBe(0);
    expect([main.word(OLD), main.word(OLD + 8), main.word(OLD + 16)]).toEqual([DATA + 4096, 1, 4096]);
  });

  it('membarrier works once registered', () => {
    expect(main.call('membarrier', 0, 0)).toBe(0x7f);
    expect(main.call('membarrier', 16, 0)).toBe(0);
    expect(main.call('membarrier', 8, 0)).toBe(0);
  });
});
