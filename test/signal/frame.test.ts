import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CPU_BLOCK_BYTES, CpuState, Gpr, Vector } from '../../src/cpu/state.js';
import { XSAVE_BYTES } from '../../src/cpu/xsave.js';
import { enterHandler, type FrameMemory, leaveHandler } from '../../src/kernel/signal/frame.js';
import { FP_BYTES, SI_ADDR, SigFrame, SigInfo } from '../../src/kernel/signal/frame-layout.js';
import { Sa, SiCode, Signal, Ss } from '../../src/kernel/signal/numbers.js';
import { TaskSignals } from '../../src/kernel/signal/state.js';
import { CPUS } from '../../src/memory/layout.js';
import type { Memory } from '../../src/memory/memory.js';
import { nativeUnavailable } from '../oracle/native.js';
import { BareCpu } from '../xsave/bare-cpu.js';

const SIGNALS = CPUS + CPU_BLOCK_BYTES;
const USER = SIGNALS + 4096;
const USER_BYTES = 16 * 1024;

/** User memory of 16 KiB that ends at an address; what lies outside is not accessible. */
class UserWindow implements FrameMemory {
  constructor(
    private readonly memory: Memory,
    readonly end: number,
    readonly start = end - USER_BYTES,
  ) {}

  copyOut(address: number, pointer: number, length: number): boolean {
    if (address < this.start || address + length > this.end) return false;
    this.memory.u8.copyWithin(this.at(address), pointer, pointer + length);
    return true;
  }

  copyIn(pointer: number, address: number, length: number): boolean {
    if (address < this.start || address + length > this.end) return false;
    this.memory.u8.copyWithin(pointer, this.at(address), this.at(address) + length);
    return true;
  }

  at(address: number): number {
    return USER + address - (this.end - USER_BYTES);
  }
}

function machine(rsp: number, end = Math.ceil((rsp + 1) / 4096) * 4096) {
  const cpu = new BareCpu(4096 + USER_BYTES);
  const { memory, base } = cpu;
  const user = new UserWindow(memory, end);
  memory.storeNumber(base + CpuState.gpr + 8 * Gpr.rsp, rsp);
  return { cpu, memory, base, user };
}

const delivery = (flags: number) => ({
  signo: Signal.SEGV,
  handler: 0x401000,
  flags: (flags | Sa.RESTORER) >>> 0,
  restorer: 0x402000,
  savedLow: 0,
  savedHigh: 0,
  extraFlags: 0,
});

const unavailable = nativeUnavailable();

describe.skipIf(unavailable)(
  `signal frames against the host${unavailable ? ` (skipped: ${unavailable})` : ''}`,
  () => {
    let directory = '';
    beforeAll(() => {
      directory = mkdtempSync(join(tmpdir(), 'europa-frame-'));
      const source = fileURLToPath(new URL('./frame.c', import.meta.url));
      execFileSync('gcc', ['-O2', '-Wall', '-Werror', '-static', '-o', join(directory, 'frame'), source]);
    });
    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    function native(...args: string[]) {
      const text = execFileSync(join(directory, 'frame'), args, { encoding: 'utf8' });
      const values = new Map(text.split('\n').map((line) => line.split(' ') as [string, string]));
      const number = (name: string) => Number.parseInt(values.get(name) ?? '0', 16);
      const bytes = (name: string) => Uint8Array.from(Buffer.from(values.get(name)!, 'hex'));
      return { number, bytes };
    }

    const RF = 0x10000;
    const cases: [string, number, number, number, number, number, boolean][] = [
      // name, signal, si_code, trap number, error code, RF, si_addr is RIP
      ['ud2', Signal.ILL, SiCode.ILL_ILLOPN, Vector.UD, 0, RF, true],
      ['int3', Signal.TRAP, SiCode.KERNEL, Vector.BP, 0, 0, false],
      ['div', Signal.FPE, SiCode.FPE_INTDIV, Vector.DE, 0, RF, true],
      ['segv', Signal.SEGV, SiCode.SEGV_MAPERR, Vector.PF, 6, RF, false],
      ['gp', Signal.SEGV, SiCode.KERNEL, Vector.GP, 0, RF, false],
      ['kill', Signal.USR1, SiCode.USER, 0, 0, 0, false],
    ];
    const both = cases.flatMap((c) => [[...c, false] as const, [...c, true] as const]);

    it.each(both)('%s', (name, signo, code, trap, error, rf, atRip, altstack) => {
      const host = native(name, ...(altstack ? ['altstack'] : []));
      const stack = host.number('altstack');
      const rsp = host.number('rsp');
      const { cpu, memory, base, user } = machine(altstack ? stack + 65536 - 1 : rsp);
      memory.storeNumber(base + CpuState.gpr + 8 * Gpr.rsp, rsp);
      memory.storeNumber(base + CpuState.rip, host.number('rip'));
      const gpr = (register: number, value: number) =>
        memory.u8.fill(value, base + CpuState.gpr + 8 * register, base + CpuState.gpr + 8 * register + 8);
      for (let r = 8; r < 16; r++) gpr(r, ((r / 10) | 0) * 16 + (r % 10));
      for (const [register, value] of [
        [Gpr.rdi, 7],
        [Gpr.rsi, 6],
        [Gpr.rbp, 5],
        [Gpr.rbx, 3],
        [Gpr.rdx, 2],
        [Gpr.rcx, 1],
        [Gpr.rax, 0],
      ])
        gpr(register, value);
      if (name === 'kill') {
        memory.storeNumber(base + CpuState.gpr + 8 * Gpr.rdi, host.number('pid'));
        memory.storeNumber(base + CpuState.gpr + 8 * Gpr.rsi, Signal.USR1);
        memory.storeNumber(base + CpuState.gpr + 8 * Gpr.rcx, host.number('rip'));
        memory.storeNumber(base + CpuState.gpr + 8 * Gpr.r11, host.number('eflags'));
      }
      cpu.rflags = host.number('eflags') & ~RF;
      for (let i = 0; i < 256; i++) memory.u8[base + CpuState.xmm + i] = i ^ 0x5a;
      memory.u8.set(
        [0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40],
        base + CpuState.fpr + 16 * 7,
      );
      memory.u8.set([0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f], base + CpuState.fpr + 16 * 6);
      memory.u16[(base + CpuState.fsw) >> 1] = 6 << 11;
      memory.u16[(base + CpuState.ftw) >> 1] = 0x0fff;
      cpu.pkru = 0x5555_5550;
      memory.store32(SIGNALS + TaskSignals.trapNumber, trap);
      memory.store32(SIGNALS + TaskSignals.errorCode, error);
      if (trap === Vector.PF) memory.storeNumber(SIGNALS + TaskSignals.faultAddress, 0x123);
      const info = SIGNALS + TaskSignals.info;
      memory.store32(info + SigInfo.signo, signo);
      memory.store32(info + SigInfo.code, code);
      if (name === 'kill') {
        memory.store32(info + SigInfo.pid, host.number('pid'));
        memory.store32(info + SigInfo.uid, host.number('uid'));
      }
      if (atRip) memory.storeNumber(info + SI_ADDR, host.number('rip'));
      if (trap === Vector.PF) memory.storeNumber(info + SI_ADDR, 0x123);
      memory.storeNumber(SIGNALS + TaskSignals.stackPointer, stack);
      memory.storeNumber(SIGNALS + TaskSignals.stackSize, altstack ? 65536 : 0);

      const done = enterHandler(
        cpu,
        user,
        SIGNALS,
        {
          signo,
          handler: 0x401000,
          flags: Sa.SIGINFO | Sa.RESTORER | (altstack ? Sa.ONSTACK : 0),
          restorer: host.number('restorer'),
          savedLow: 1 << (Signal.USR2 - 1),
          savedHigh: 1 << 31,
          extraFlags: rf,
        },
        0x5555_5554,
      );
      expect(done).toBe(true);

      const frame = memory.loadNumber(base + CpuState.gpr + 8 * Gpr.rsp);
      const fpstate = memory.loadNumber(user.at(frame) + SigFrame.fpstate);
      // The host's image is larger, so the places differ; the rules for them are the same.
      const hostFp = host.number('fpstate');
      expect(frame % 16).toBe(host.number('frame') % 16);
      expect(Math.floor((fpstate - SigFrame.size) / 16) * 16 - 8).toBe(frame);
      expect(Math.floor((hostFp - SigFrame.size) / 16) * 16 - 8).toBe(host.number('frame'));
      const top = altstack ? stack + 65536 : rsp - 128;
      expect(fpstate).toBe(Math.floor((top - FP_BYTES) / 64) * 64);
      expect(memory.loadNumber(base + CpuState.gpr + 8 * Gpr.rsi) - frame).toBe(
        host.number('info') - host.number('frame'),
      );

      const hostBytes = host.bytes('bytes');
      const ours = memory.u8.slice(user.at(frame), user.at(frame) + hostBytes.length);
      ours.fill(0, SigFrame.fpstate, SigFrame.fpstate + 8);
      hostBytes.fill(0, SigFrame.fpstate, SigFrame.fpstate + 8);
      expect(Buffer.from(ours).toString('hex')).toBe(Buffer.from(hostBytes).toString('hex'));

      const fp = memory.u8.slice(user.at(fpstate), user.at(fpstate) + 576);
      const hostImage = host.bytes('fp');
      const view = new DataView(fp.buffer);
      const hostView = new DataView(hostImage.buffer);
      // MXCSR_MASK, the x87 pointers (AMD saves none), and the sizes and components of a processor with more of them.
      for (const [from, to] of [
        [6, 24],
        [28, 32],
        [464, 520],
      ]) {
        fp.fill(0, from, to);
        hostImage.fill(0, from, to);
      }
      const again = memory.u8.slice(user.at(fpstate), user.at(fpstate) + 576);
      expect(Buffer.from(fp).toString('hex')).toBe(Buffer.from(hostImage).toString('hex'));
      expect(view.byteLength).toBe(hostView.byteLength);
      const words = new DataView(again.buffer);
      const hostWords = new DataView(host.bytes('fp').buffer);
      expect(words.getUint32(464, true)).toBe(hostWords.getUint32(464, true)); // MAGIC1
      expect(words.getUint32(468, true) - words.getUint32(480, true)).toBe(
        hostWords.getUint32(468, true) - hostWords.getUint32(480, true),
      );
      expect(words.getUint32(472, true)).toBe(0x203);
      expect(words.getUint32(480, true)).toBe(XSAVE_BYTES);
      expect(words.getUint32(512, true) & 3).toBe(hostWords.getUint32(512, true) & 3);
      expect(memory.load32(base + CpuState.mxcsr)).toBe(host.number('mxcsr'));
      expect(cpu.pkru).toBe(0x5555_5554);
      expect(memory.loadU32(user.at(fpstate) + 832)).toBe(0x5555_5550);
    });
  },
);

describe('leaving a handler', () => {
  const RSP = 0x7000_0f00;
  const PKRU = 0x5555_5550;

  function delivered() {
    const m = machine(RSP);
    const { cpu, memory, base } = m;
    memory.u8.fill(0x11, base + CpuState.xmm, base + CpuState.xmm + 256);
    memory.storeNumber(base + CpuState.rip, 0x40_1234);
    cpu.pkru = PKRU;
    cpu.rflags = 0x246;
    const registers = memory.u8.slice(base, base + CpuState.rflags);
    expect(
      enterHandler(cpu, m.user, SIGNALS, { ...delivery(Sa.SIGINFO), savedLow: 5, savedHigh: 9 }, 0x5555_5554),
    ).toBe(true);
    const frame = memory.loadNumber(base + CpuState.gpr + 8 * Gpr.rsp);
    // The handler's RET pops the restorer's address.
    memory.storeNumber(base + CpuState.gpr + 8 * Gpr.rsp, frame + 8);
    const place = m.user.at(frame);
    const image = m.user.at(memory.loadNumber(place + SigFrame.fpstate));
    return { ...m, place, image, registers };
  }

  it('brings everything back', () => {
    const { cpu, user, memory, base, registers } = delivered();
    cpu.pkru = 0;
    memory.u8.fill(0x22, base + CpuState.xmm, base + CpuState.xmm + 256);
    const masks: number[][] = [];
    expect(leaveHandler(cpu, user, 0, (...mask) => masks.push(mask))).not.toBeNull();
    expect(masks).toEqual([[5, 9]]);
    expect(memory.u8.slice(base, base + CpuState.rflags)).toEqual(registers);
    expect(memory.u8[base + CpuState.xmm]).toBe(0x11);
    expect(cpu.pkru).toBe(PKRU);
    expect(cpu.rflags & 0xcd5).toBe(0x44);
  });

  it('honours an edited PKRU, and takes a cleared bit as 0', () => {
    const edited = delivered();
    edited.memory.store32(edited.image + 832, 0xc);
    expect(leaveHandler(edited.cpu, edited.user, 1)).not.toBeNull();
    expect(edited.cpu.pkru).toBe(0xc);
    const cleared = delivered();
    cleared.memory.store32(cleared.image + 512, 3);
    expect(leaveHandler(cleared.cpu, cleared.user, 1)).not.toBeNull();
    expect(cleared.cpu.pkru).toBe(0);
  });

  it.each([
    ['MAGIC1', 464],
    ['MAGIC2', XSAVE_BYTES],
    ['the size', 480],
  ])('with damaged %s loads x87 and SSE, and PKRU becomes 0', (_name, offset) => {
    const { cpu, user, memory, base, image } = delivered();
    memory.store32(image + offset, 7);
    expect(leaveHandler(cpu, user, 1)).not.toBeNull();
    expect(cpu.pkru).toBe(0);
    expect(memory.u8[base + CpuState.xmm + 100]).toBe(0x11);
  });

  it('without fpstate everything is initial and PKRU as after exec', () => {
    const { cpu, user, memory, base, place } = delivered();
    memory.storeNumber(place + SigFrame.fpstate, 0);
    memory.u8.fill(0x22, base + CpuState.xmm, base + CpuState.xmm + 256);
    expect(leaveHandler(cpu, user, 0x5555_5554)).not.toBeNull();
    expect(cpu.pkru).toBe(0x5555_5554);
    expect(memory.u8[base + CpuState.xmm]).toBe(0);
  });

  it.each<[string, (m: ReturnType<typeof delivered>) => void]>([
    ['reserved MXCSR bits', (m) => m.memory.store32(m.image + 24, 0x1_1f80)],
    ['an unknown component', (m) => m.memory.store32(m.image + 512, 0x407)],
    ['a nonzero reserved header field', (m) => m.memory.store32(m.image + 528, 1)],
    ['an fpstate that is not mapped', (m) => m.memory.storeNumber(m.place + SigFrame.fpstate, 0x1000)],
    ['another code segment', (m) => (m.memory.u16[(m.place + SigFrame.cs) >> 1] = 0x23)],
    ['a stack that is not mapped', (m) => m.memory.storeNumber(m.base + CpuState.gpr + 8 * Gpr.rsp, 0x1000)],
  ])('%s makes a bad frame', (_name, damage) => {
    const m = delivered();
    damage(m);
    expect(leaveHandler(m.cpu, m.user, 0)).toBeNull();
  });
});

describe('where a frame goes', () => {
  it('does not fit a stack that is full', () => {
    const { cpu, memory, base } = machine(0x7000_0f00);
    const small = new UserWindow(memory, 0x7000_1000, 0x7000_0e00);
    const before = memory.u8.slice(base, base + CpuState.scratch);
    expect(enterHandler(cpu, small, SIGNALS, delivery(0), 0)).toBe(false);
    expect(memory.u8.slice(base, base + CpuState.scratch)).toEqual(before);
  });

  it('needs a restorer', () => {
    const { cpu, user } = machine(0x7000_0f00);
    expect(enterHandler(cpu, user, SIGNALS, { ...delivery(0), flags: 0 }, 0)).toBe(false);
  });

  it('does not overflow an alternate stack', () => {
    const { cpu, user, memory } = machine(0x7000_0f00);
    memory.storeNumber(SIGNALS + TaskSignals.stackPointer, 0x7000_0000);
    memory.storeNumber(SIGNALS + TaskSignals.stackSize, 1000);
    expect(enterHandler(cpu, user, SIGNALS, delivery(Sa.ONSTACK), 0)).toBe(false);
  });

  it('nests on the alternate stack, and an auto-disarmed stack is gone in the handler', () => {
    const { cpu, user, memory, base } = machine(0x7000_0f00, 0x7000_4000);
    memory.storeNumber(SIGNALS + TaskSignals.stackPointer, 0x7000_1000);
    memory.storeNumber(SIGNALS + TaskSignals.stackSize, 0x3000);
    expect(enterHandler(cpu, user, SIGNALS, delivery(Sa.ONSTACK), 0)).toBe(true);
    const first = memory.loadNumber(base + CpuState.gpr + 8 * Gpr.rsp);
    expect(first).toBeGreaterThan(0x7000_3000);
    expect(enterHandler(cpu, user, SIGNALS, delivery(Sa.ONSTACK), 0)).toBe(true);
    const second = memory.loadNumber(base + CpuState.gpr + 8 * Gpr.rsp);
    expect(first - second).toBeGreaterThan(SigFrame.size + FP_BYTES);
    expect(first - second).toBeLessThan(SigFrame.size + FP_BYTES + 300);

    memory.store32(SIGNALS + TaskSignals.stackFlags, Ss.AUTODISARM);
    memory.storeNumber(base + CpuState.gpr + 8 * Gpr.rsp, 0x7000_0f00);
    expect(enterHandler(cpu, user, SIGNALS, delivery(Sa.ONSTACK), 0)).toBe(true);
    const frame = user.at(memory.loadNumber(base + CpuState.gpr + 8 * Gpr.rsp));
    expect(memory.loadU32(frame + SigFrame.stackFlags)).toBe(Ss.AUTODISARM);
    expect(memory.loadNumber(frame + SigFrame.stackSize)).toBe(0x3000);
    expect(memory.loadNumber(SIGNALS + TaskSignals.stackSize)).toBe(0);
    expect(memory.loadU32(SIGNALS + TaskSignals.stackFlags)).toBe(Ss.DISABLE);
  });
});
