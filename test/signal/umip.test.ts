import { beforeEach, describe, expect, it } from 'vitest';
import { cpuid } from '../../src/cpu/cpuid.js';
import { CpuState, Exit, Gpr, PfError, Vector } from '../../src/cpu/state.js';
import { raiseException } from '../../src/kernel/signal/exceptions.js';
import { Emulated, emulateUmip } from '../../src/kernel/umip.js';
import { CODE, DATA as MAPPED } from '../oracle/driver.js';
import { CodeCpu, ThreadedCpu } from '../translate/threaded-cpu.js';
import { DATA, TestKernel, type TestThread } from './kernel.js';

const NAMES = ['SGDT', 'SIDT', 'SMSW', 'SLDT', 'STR'];
/** With [RDI]. */
const CODES = ['0f0107', '0f010f', '0f0127', '0f0007', '0f000f'];

describe('the processor', () => {
  it('has UMIP', () => {
    expect((cpuid(7, 0, { cpuId: 0, cpuCount: 1, pku: true }).ecx >> 2) & 1).toBe(1);
  });

  it.each(CODES.map((code, i) => [NAMES[i], code]))(
    'refuses %s before it looks at the operand',
    (_, code) => {
      for (const cpu of [new ThreadedCpu(), new CodeCpu()]) {
        for (const rdi of [BigInt(MAPPED), 0n, 0x1000_0000_0000_0003n]) {
          cpu.place(code);
          cpu.registers({ rdi, rip: BigInt(CODE) });
          expect(cpu.go()).toBe(Exit.exception);
          expect([cpu.vector, cpu.fault.error, cpu.rip]).toEqual([Vector.GP, 0, CODE]);
        }
      }
    },
  );
});

describe('the kernel', () => {
  let main: TestThread;
  const AT = DATA + 4096;
  beforeEach(() => {
    main = new TestKernel(1).threads[0];
  });
  const word = (field: number) => main.kernel.memory.u64[(main.cpu.base + field) >>> 3];
  const set = (field: number, value: bigint) => {
    main.kernel.memory.u64[(main.cpu.base + field) >>> 3] = value;
  };
  /** Emulates the code at AT with an address in RDI and all bits of RAX set. */
  function emulate(code: string, rdi: bigint): number {
    main.k.user.writeFrom(AT, Buffer.from(code.padEnd(30, '9'), 'hex'));
    set(CpuState.rip, BigInt(AT));
    set(CpuState.gpr + 8 * Gpr.rdi, rdi);
    set(CpuState.gpr + 8 * Gpr.rax, -1n);
    return emulateUmip(main.k);
  }

  it('stores values that say nothing', () => {
    const stored = CODES.map((code) => {
      main.k.user.writeFrom(DATA, new Uint8Array(12).fill(0xee));
      expect(emulate(code, BigInt(DATA + 1))).toBe(Emulated.yes);
      expect(word(CpuState.rip)).toBe(BigInt(AT + 3));
      return Buffer.from(main.k.user.readBytes(DATA, 12)!).toString('hex');
    });
    expect(stored).toEqual([
      'ee00000000feffffffffffee',
      'ee00000000ffffffffffffee',
      `ee3300${'ee'.repeat(9)}`,
      `ee0000${'ee'.repeat(9)}`,
      `ee4000${'ee'.repeat(9)}`,
    ]);
  });

  it.each([
    ['SMSW AX', '660f01e0', 0xffff_ffff_ffff_0033n],
    ['SMSW EAX', '0f01e0', 0xffff_ffff_8005_0033n],
    ['SMSW RAX', '480f01e0', 0x8005_0033n],
    ['STR EAX', '0f00c8', 0xffff_ffff_0000_0040n],
  ])('%s: as many bytes of the register as the operand has', (_, code, rax) => {
    expect(emulate(code, 0n)).toBe(Emulated.yes);
    expect(word(CpuState.gpr + 8 * Gpr.rax)).toBe(rax);
    expect(word(CpuState.rip)).toBe(BigInt(AT + code.length / 2));
  });

  it.each([
    ['LMSW', '0f0137'],
    ['HLT', 'f4'],
    ['VMCALL, SGDT with a register', '0f01c1'],
    ['two segments', '65260f0127'],
    ['five prefixes', '666764f2f30f00c8'],
    ['REX before a prefix', '48660f00c8'],
    ['an address of -1', '0f0127'],
  ])('leaves %s alone', (_, code) => {
    expect(emulate(code, -1n)).toBe(Emulated.no);
    expect(word(CpuState.rip)).toBe(BigInt(AT));
  });

  it('leaves alone what is cut off', () => {
    for (const code of ['0f', '0f01', '0f0164', '0f018424', '0f01a4240000']) {
      const bytes = Buffer.from(code, 'hex');
      const at = AT + 4096 - bytes.length;
      main.k.user.writeFrom(at, bytes);
      set(CpuState.rip, BigInt(at));
      expect(emulateUmip(main.k)).toBe(Emulated.no);
    }
  });

  it.each([0n, BigInt(DATA + 8192 - 4), 0x7fff_ffff_eff7n, 0xffff_8000_0000_0001n, 0x1000_0000_0000_0003n])(
    'raises #PF for an operand at %s',
    (address) => {
      expect(emulate('0f0107', address)).toBe(Emulated.fault);
      expect(word(CpuState.faultAddress)).toBe(address);
      set(CpuState.rip, BigInt(AT));
      main.kernel.memory.store32(main.cpu.base + CpuState.vector, Vector.GP);
      main.kernel.memory.store32(main.cpu.base + CpuState.errorCode, 0);
      expect(raiseException(main.k, null)).toMatchObject({
        kind: 'fatal',
        signal: { signal: 11, code: 1, address, rip: BigInt(AT), errorCode: PfError.write | PfError.user },
      });
    },
  );
});
