import { describe, expect, it } from 'vitest';
import { Flag } from '../../src/cpu/flags.js';
import { CpuState, Exit, PfError, Vector } from '../../src/cpu/state.js';
import { CODE, STACK } from '../oracle/driver.js';
import { CodeCpu, ThreadedCpu } from './threaded-cpu.js';

/** Canonical, at the end of the kernel's half, where numbers are 2048 apart. */
const KERNEL = [
  0xffff_ffff_ffff_ffffn,
  0xffff_ffff_ffff_fffbn,
  0xffff_ffff_ffff_fff8n,
  0xffff_ffff_ff60_0001n,
  0xffff_8000_0000_0001n,
];
const NOWHERE = [0x8000_0000_0000n, 0xffff_7fff_ffff_ffffn, 0x1000_0000_0000_0003n, 0x8000_0000_0000_0001n];

const EXCEPTION = {
  fetch: { vector: Vector.PF, error: PfError.user | PfError.fetch },
  read: { vector: Vector.PF, error: PfError.user },
  write: { vector: Vector.PF, error: PfError.user | PfError.write },
  general: { vector: Vector.GP, error: 0 },
  stack: { vector: Vector.SS, error: 0 },
};

describe.each([
  ['threaded code', () => new ThreadedCpu()],
  ['regions', () => new CodeCpu()],
] as const)('addresses beyond those that numbers hold, in %s', (_, make) => {
  /** Runs code with the address in RDI and, if `stack`, in RSP; says what it raised, where, and its address. */
  function raised(code: string, address: bigint, { stack = false, flags = 0 } = {}) {
    const cpu = make();
    cpu.place(code);
    cpu.registers({ rdi: address, rsp: stack ? address : BigInt(STACK + 2048), rip: BigInt(CODE) });
    cpu.cpu.rflags = flags;
    expect(cpu.go()).toBe(Exit.exception);
    const word = (field: number) => cpu.memory.u64[(cpu.cpu.base + field) >>> 3];
    const { vector } = cpu;
    return { vector, error: cpu.fault.error, address: word(CpuState.faultAddress), rip: word(CpuState.rip) };
  }

  it.each(KERNEL)('a jump to %s', (address) => {
    const told = { ...EXCEPTION.fetch, address, rip: address };
    // jmp rdi
    expect(raised('ffe7', address)).toEqual(told);
    // push rdi; ret
    expect(raised('57c3', address)).toEqual(told);
    expect(raised('57c3', address, { flags: Flag.TF })).toMatchObject({ vector: Vector.DB });
    // call rdi
    expect(raised('ffd7', address)).toEqual(told);
    // mov ecx, 100000; L: dec ecx; jne L; jmp rdi
    expect(raised('b9a0860100 ffc9 75fc ffe7', address)).toEqual(told);
  });

  it.each(NOWHERE)('a jump to %s', (address) => {
    const told = { ...EXCEPTION.general, address: 0n, rip: address };
    expect(raised('ffe7', address)).toEqual(told);
    expect(raised('57c3', address)).toEqual(told);
  });

  it('single-stepping there', () => {
    for (const address of KERNEL) {
      const cpu = make();
      cpu.registers({ rip: address });
      cpu.cpu.rflags = Flag.TF;
      expect(cpu.go()).toBe(Exit.exception);
      expect(cpu.vector).toBe(Vector.PF);
      expect(cpu.memory.u64[(cpu.cpu.base + CpuState.faultAddress) >>> 3]).toBe(address);
    }
  });

  it('direct jumps below 0', () => {
    // The code is below 2 GiB: jmp, call and a taken jz by −2^31.
    const below = (length: number) => BigInt.asUintN(64, BigInt(CODE + length) - 0x8000_0000n);
    for (const [code, length] of [
      ['e900000080', 5],
      ['e800000080', 5],
      ['31c0 0f8400000080', 8],
    ] as const) {
      const address = below(length);
      expect(raised(code, 0n)).toEqual({ ...EXCEPTION.fetch, address, rip: address });
    }
  });

  it('the region of one instruction is not found at another address', () => {
    const cpu = make();
    // nop; int3, stepped: alone
    cpu.place('90cc');
    cpu.registers({ rip: BigInt(CODE) });
    cpu.cpu.rflags = Flag.TF;
    cpu.go();
    for (const rip of [-BigInt(CODE) - 1n, -BigInt(CODE)]) {
      cpu.registers({ rip });
      cpu.cpu.rflags = 0;
      expect(cpu.go()).toBe(Exit.exception);
      expect(cpu.vector).toBe(Vector.PF);
    }
  });

  // Those of 8 bytes and the ones that run in TypeScript.
  const instructions = [
    ['mov rax, [rdi]', '488b07', 'read', false],
    ['mov [rdi], rax', '488907', 'write', false],
    ['push rax', '50', 'write', true],
    ['pop rax', '58', 'read', true],
    ['ret', 'c3', 'read', true],
    ['iretq', '48cf', 'read', true],
    ['retfq', '48cb', 'read', true],
    ['pop fs', '0fa1', 'read', true],
    ['verr [rdi]', '0f0027', 'read', false],
    ['fldenv [rdi]', 'd927', 'read', false],
  ] as const;
  it.each(instructions)('%s', (_name, code, access, stack) => {
    for (const rdi of KERNEL.slice(0, 3)) {
      const address = code === '50' ? rdi - 8n : rdi;
      expect(raised(code, rdi, { stack })).toEqual({ ...EXCEPTION[access], address, rip: BigInt(CODE) });
    }
    const nowhere = { ...(stack ? EXCEPTION.stack : EXCEPTION.general), address: 0n, rip: BigInt(CODE) };
    for (const rdi of NOWHERE.slice(2)) expect(raised(code, rdi, { stack })).toEqual(nowhere);
  });

  it('FXSAVE and XSAVE see that an address is not aligned, and the stack segment', () => {
    const at = { rip: BigInt(CODE) };
    for (const code of ['0fae07', '0fae27']) {
      expect(raised(code, 0xffff_ffff_ffff_fff8n)).toEqual({ ...EXCEPTION.general, address: 0n, ...at });
    }
    const address = 0xffff_ffff_ffff_fff0n;
    expect(raised('0fae07', address)).toEqual({ ...EXCEPTION.write, address, ...at });
    expect(raised('0fae0424', 0x1000_0000_0000_0000n, { stack: true })).toMatchObject(EXCEPTION.stack);
  });
});
