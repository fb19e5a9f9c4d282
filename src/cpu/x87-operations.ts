import type { Memory } from '../memory/memory.js';
import {
  C0,
  C2,
  C3,
  F80_INDEFINITE,
  type F80,
  type X87Env,
  f2xm1,
  f80FromBcd,
  f80FromF32,
  f80FromF64,
  f80FromI32,
  f80FromI64,
  f80ToBcd,
  f80ToF32,
  f80ToF64,
  f80ToI16,
  f80ToI16Truncate,
  f80ToI32,
  f80ToI32Truncate,
  f80ToI64,
  f80ToI64Truncate,
  fabs,
  fadd,
  fchs,
  fcom,
  fcomi,
  fcos,
  fdiv,
  fdivr,
  fld1,
  fldl2e,
  fldl2t,
  fldlg2,
  fldln2,
  fldpi,
  fldz,
  fmul,
  fpatan,
  fprem,
  fprem1,
  fptan,
  frndint,
  fscale,
  fsin,
  fsincos,
  fsqrt,
  fsub,
  fsubr,
  ftst,
  fucom,
  fucomi,
  fxam,
  fxtract,
  fyl2x,
  fyl2xp1,
  operandF32,
  operandF64,
} from './softfloat/index.js';
import { X87 } from './x87.js';

/**
 * What x87 instructions do to the register stack, by name: memory operands come as words and results go to where
 * `X87.result` puts them, so that only emitted code accesses guest memory.
 *
 * Parameters: the unit, a register number i (or the upper 16 bits of an 80-bit operand), and the lower 64 bits of a memory operand.
 */
type Operation = (unit: X87, i: number, lo: number, hi: number) => number;

type Binary = (env: X87Env, a: F80, b: F80, memoryDenormal?: boolean) => F80;
type Unary = (env: X87Env, a: F80) => F80;

const ARITHMETIC = { fadd, fsub, fsubr, fmul, fdiv, fdivr } as const;

/** ST(to) = ST(to) op ST(from). Returns whether the result was written (and a pop may follow). */
function registers(unit: X87, op: Binary, to: number, from: number): boolean {
  if (unit.isEmpty(to) || unit.isEmpty(from)) {
    if (!unit.fault()) return false;
    unit.set(to, F80_INDEFINITE);
    return true;
  }
  const result = op(unit.begin(), unit.get(to), unit.get(from));
  if (!unit.finish()) return false;
  unit.set(to, result);
  return true;
}

/** ST(0) = ST(0) op an operand from memory. */
function withMemory(unit: X87, op: Binary, value: F80, denormal: boolean): number {
  if (unit.isEmpty(0)) {
    if (unit.fault()) unit.set(0, F80_INDEFINITE);
    return 0;
  }
  const result = op(unit.begin(), unit.get(0), value, denormal);
  if (unit.finish()) unit.set(0, result);
  return 0;
}

/** An operand that is an integer in memory: the conversion is exact and raises nothing. */
function integerOperand(unit: X87, value: number): F80 {
  return f80FromI32(unit.env, value);
}

/** The operations of one arithmetic instruction: with ST(i), into ST(i), the same with a pop, and memory operands. */
function arithmetic<N extends keyof typeof ARITHMETIC>(name: N) {
  const op: Binary = ARITHMETIC[name];
  const operations: Record<string, Operation> = {
    [`${name}St0`]: (unit, i) => Number(registers(unit, op, 0, i)),
    [`${name}Sti`]: (unit, i) => Number(registers(unit, op, i, 0)),
    [`${name}Pop`]: (unit, i) => {
      if (registers(unit, op, i, 0)) unit.pop();
      return 0;
    },
    [`${name}F32`]: (unit, _, lo) => {
      const { value, denormal } = operandF32(lo);
      return withMemory(unit, op, value, denormal);
    },
    [`${name}F64`]: (unit, _, lo, hi) => {
      const { value, denormal } = operandF64(hi, lo);
      return withMemory(unit, op, value, denormal);
    },
    [`${name}Int`]: (unit, _, lo) => withMemory(unit, op, integerOperand(unit, lo), false),
  };
  return operations as Record<`${N}${'St0' | 'Sti' | 'Pop' | 'F32' | 'F64' | 'Int'}`, Operation>;
}

// --- comparisons -------------------------------------------------------------------------------------------------------

const UNORDERED = C0 | C2 | C3;

/** A stack fault of a comparison: the operands are unordered, masked or not. */
function compareFault(unit: X87): boolean {
  unit.status |= UNORDERED;
  return unit.fault();
}

/** Compares ST(0) with ST(i), then pops `pops` registers. */
function compareRegisters(op: (env: X87Env, a: F80, b: F80) => void, pops: number): Operation {
  return (unit, i) => {
    if (unit.isEmpty(0) || unit.isEmpty(i)) {
      if (!compareFault(unit)) return 0;
    } else {
      op(unit.begin(), unit.get(0), unit.get(i));
      if (!unit.finish()) return 0;
    }
    for (let n = 0; n < pops; n++) unit.pop();
    return 0;
  };
}

function compareMemory(unit: X87, value: F80, denormal: boolean, pop: boolean): number {
  if (unit.isEmpty(0)) {
    if (!compareFault(unit)) return 0;
  } else {
    fcom(unit.begin(), unit.get(0), value, denormal);
    if (!unit.finish()) return 0;
  }
  if (pop) unit.pop();
  return 0;
}

const compareF32 =
  (pop: boolean): Operation =>
  (unit, _, lo) => {
    const { value, denormal } = operandF32(lo);
    return compareMemory(unit, value, denormal, pop);
  };

const compareF64 =
  (pop: boolean): Operation =>
  (unit, _, lo, hi) => {
    const { value, denormal } = operandF64(hi, lo);
    return compareMemory(unit, value, denormal, pop);
  };

const compareInt =
  (pop: boolean): Operation =>
  (unit, _, lo) =>
    compareMemory(unit, integerOperand(unit, lo), false, pop);

/** FCOMI and its like: returns ZF, PF and CF, which unmasked exceptions don't keep from changing. */
function compareFlags(op: (env: X87Env, a: F80, b: F80) => number, pop: boolean): Operation {
  return (unit, i) => {
    let flags = UNORDERED_FLAGS;
    let goesOn: boolean;
    if (unit.isEmpty(0) || unit.isEmpty(i)) goesOn = unit.fault();
    else {
      flags = op(unit.begin(), unit.get(0), unit.get(i));
      // C1 stays as it is on AMD's processors.
      unit.env.ccMask = 0;
      goesOn = unit.finish();
    }
    if (goesOn && pop) unit.pop();
    return flags;
  };
}

/** ZF, PF and CF. */
const UNORDERED_FLAGS = 0x45;

// --- operations on ST(0), and ST(1) ------------------------------------------------------------------------------------

function unary(op: Unary): Operation {
  return (unit) => {
    if (unit.isEmpty(0)) {
      if (unit.fault()) unit.set(0, F80_INDEFINITE);
      return 0;
    }
    const result = op(unit.begin(), unit.get(0));
    if (unit.finish()) unit.set(0, result);
    return 0;
  };
}

/** ST(0) = op(ST(0), ST(1)): FPREM, FPREM1, FSCALE. */
const topTwo =
  (op: Binary): Operation =>
  (unit) =>
    Number(registers(unit, op, 0, 1));

/** An operation that says in C2 whether it is incomplete: after a stack fault, which `faults` detects, it is not. */
function completes(operation: Operation, faults: (unit: X87) => boolean): Operation {
  return (unit, i, lo, hi) => {
    if (faults(unit)) unit.status &= ~C2;
    return operation(unit, i, lo, hi);
  };
}

const topEmpty = (unit: X87): boolean => unit.isEmpty(0);
const topTwoEmpty = (unit: X87): boolean => unit.isEmpty(0) || unit.isEmpty(1);
const topEmptyOrFull = (unit: X87): boolean => unit.isEmpty(0) || !unit.isEmpty(7);

/** ST(1) = op(ST(0), ST(1)), pop: FYL2X, FYL2XP1, FPATAN. */
function intoSecond(op: Binary): Operation {
  const reversed: Binary = (env, second, first) => op(env, first, second);
  return (unit) => {
    if (registers(unit, reversed, 1, 0)) unit.pop();
    return 0;
  };
}

/** ST(0) = one result and the other is pushed, unless C2 says that nothing was done: FSINCOS, FPTAN, FXTRACT. */
function pushing(op: (env: X87Env, a: F80) => { replaced: F80; pushed: F80 }): Operation {
  return (unit) => {
    const empty = unit.isEmpty(0);
    if (empty || !unit.isEmpty(7)) {
      if (!unit.fault(empty ? 0 : 0x200)) return 0;
      unit.set(0, F80_INDEFINITE);
      unit.push(F80_INDEFINITE);
      return 0;
    }
    const { env } = unit;
    const { replaced, pushed } = op(unit.begin(), unit.get(0));
    if (!unit.finish() || (env.ccMask & env.cc & C2) !== 0) return 0;
    unit.set(0, replaced);
    unit.push(pushed);
    return 0;
  };
}

// --- stores to memory --------------------------------------------------------------------------------------------------

/**
 * A store of ST(0): `convert` leaves its value in the unit. Returns 1 if there is something to store; the state is left
 * as it was, the new one deferred (see X87.defer).
 * @param indefinite the value stored for an empty register
 */
function store(
  convert: (unit: X87, env: X87Env, a: F80) => void,
  indefinite: (unit: X87) => void,
  pop: boolean,
): Operation {
  return (unit) => {
    const { status, tags } = unit;
    let written: boolean;
    if (unit.isEmpty(0)) {
      written = unit.fault();
      if (written) indefinite(unit);
    } else {
      convert(unit, unit.begin(), unit.get(0));
      written = unit.finish();
    }
    if (written && pop) unit.pop();
    unit.defer(status, tags);
    return Number(written);
  };
}

const storeF32 = (pop: boolean): Operation =>
  store(
    (unit, env, a) => unit.result(f80ToF32(env, a)),
    (unit) => unit.result(0xffc00000),
    pop,
  );

const storeF64 = (pop: boolean): Operation =>
  store(
    (unit, env, a) => {
      f80ToF64(env, a);
      unit.result(env.lo, env.hi);
    },
    (unit) => unit.result(0, 0xfff80000),
    pop,
  );

const storeF80: Operation = store(
  (unit, env, a) => {
    exact(env);
    unit.result(a.lo, a.hi, a.sexp);
  },
  (unit) => unit.result(0, 0xc0000000, 0xffff),
  true,
);

/** An operation that raises nothing and clears C1: copies between registers, and to 80-bit memory. */
function exact(env: X87Env): void {
  env.raised = 0;
  env.cc = 0;
  env.ccMask = 0x200;
  env.suppressed = false;
}

const storeInt = (convert: (env: X87Env, a: F80) => number, indefinite: number, pop: boolean): Operation =>
  store(
    (unit, env, a) => unit.result(convert(env, a)),
    (unit) => unit.result(indefinite),
    pop,
  );

const storeI64 = (convert: (env: X87Env, a: F80) => void): Operation =>
  store(
    (unit, env, a) => {
      convert(env, a);
      unit.result(env.lo, env.hi);
    },
    (unit) => unit.result(0, 0x80000000),
    true,
  );

const storeBcd: Operation = store(
  (unit, env, a) => {
    const b = f80ToBcd(env, a);
    const word = (at: number) => (b[at] | (b[at + 1] << 8) | (b[at + 2] << 16) | (b[at + 3] << 24)) >>> 0;
    unit.result(word(0), word(4), b[8] | (b[9] << 8));
  },
  (unit) => unit.result(0, 0xc0000000, 0xffff),
  true,
);

// --- loads, moves, control ---------------------------------------------------------------------------------------------

const constant =
  (value: (env: X87Env) => F80): Operation =>
  (unit) => {
    unit.load(value);
    return 0;
  };

/** An 80-bit operand, loaded as it is. */
const loadF80: Operation = (unit, sexp, lo, hi) => {
  unit.load((env) => {
    exact(env);
    return { sexp, hi: hi >>> 0, lo: lo >>> 0 };
  });
  return 0;
};

const loadBcd: Operation = (unit, top, lo, hi) => {
  const bytes = new Uint8Array(10);
  for (let i = 0; i < 4; i++) {
    bytes[i] = lo >>> (8 * i);
    bytes[4 + i] = hi >>> (8 * i);
  }
  bytes[8] = top;
  bytes[9] = top >>> 8;
  unit.load((env) => f80FromBcd(env, bytes));
  return 0;
};

/** FLD ST(i). */
const loadRegister: Operation = (unit, i) => {
  if (unit.isEmpty(i)) {
    if (unit.fault()) unit.push(F80_INDEFINITE);
    return 0;
  }
  const value = unit.get(i);
  unit.load((env) => {
    exact(env);
    return value;
  });
  return 0;
};

/** FST ST(i), FSTP ST(i). */
function storeRegister(pop: boolean): Operation {
  return (unit, i) => {
    if (unit.isEmpty(0)) {
      if (!unit.fault()) return 0;
      unit.set(i, F80_INDEFINITE);
    } else {
      exact(unit.begin());
      unit.finish();
      unit.set(i, unit.get(0));
    }
    if (pop) unit.pop();
    return 0;
  };
}

const exchange: Operation = (unit, i) => {
  if (unit.isEmpty(0) || unit.isEmpty(i)) {
    if (!unit.fault()) return 0;
    if (unit.isEmpty(0)) unit.set(0, F80_INDEFINITE);
    if (unit.isEmpty(i)) unit.set(i, F80_INDEFINITE);
  } else {
    exact(unit.begin());
    unit.finish();
  }
  const value = unit.get(0);
  unit.set(0, unit.get(i));
  unit.set(i, value);
  return 0;
};

/** FCMOVcc: `taken` (passed as the low word) says whether the condition holds. C1 changes only by a stack fault. */
const conditionalMove: Operation = (unit, i, taken) => {
  if (unit.isEmpty(0) || unit.isEmpty(i)) {
    if (unit.fault()) unit.set(0, F80_INDEFINITE);
    return 0;
  }
  if (taken) unit.set(0, unit.get(i));
  return 0;
};

/** FINCSTP, FDECSTP. */
const rotate =
  (delta: number): Operation =>
  (unit) => {
    exact(unit.begin());
    unit.finish();
    unit.rotate(delta);
    return 0;
  };

const examine: Operation = (unit) => {
  fxam(unit.begin(), unit.get(0), unit.isEmpty(0));
  unit.finish();
  return 0;
};

const test: Operation = (unit) => {
  if (unit.isEmpty(0)) compareFault(unit);
  else {
    ftst(unit.begin(), unit.get(0));
    unit.finish();
  }
  return 0;
};

const free =
  (pop: boolean): Operation =>
  (unit, i) => {
    unit.free(i);
    if (pop) unit.pop();
    return 0;
  };

const OPERATIONS = {
  ...arithmetic('fadd'),
  ...arithmetic('fsub'),
  ...arithmetic('fsubr'),
  ...arithmetic('fmul'),
  ...arithmetic('fdiv'),
  ...arithmetic('fdivr'),
  loadF32: (unit, _, lo) => {
    unit.load((env) => f80FromF32(env, lo));
    return 0;
  },
  loadF64: (unit, _, lo, hi) => {
    unit.load((env) => f80FromF64(env, hi, lo));
    return 0;
  },
  loadF80,
  loadI32: (unit, _, lo) => {
    unit.load((env) => f80FromI32(env, lo));
    return 0;
  },
  loadI64: (unit, _, lo, hi) => {
    unit.load((env) => f80FromI64(env, hi, lo));
    return 0;
  },
  loadBcd,
  loadRegister,
  fld1: constant(fld1),
  fldl2t: constant(fldl2t),
  fldl2e: constant(fldl2e),
  fldpi: constant(fldpi),
  fldlg2: constant(fldlg2),
  fldln2: constant(fldln2),
  fldz: constant(fldz),
  storeF32: storeF32(false),
  storeF32Pop: storeF32(true),
  storeF64: storeF64(false),
  storeF64Pop: storeF64(true),
  storeF80,
  storeI16: storeInt(f80ToI16, 0x8000, false),
  storeI16Pop: storeInt(f80ToI16, 0x8000, true),
  storeI32: storeInt(f80ToI32, 0x80000000, false),
  storeI32Pop: storeInt(f80ToI32, 0x80000000, true),
  storeI64Pop: storeI64(f80ToI64),
  truncateI16: storeInt(f80ToI16Truncate, 0x8000, true),
  truncateI32: storeInt(f80ToI32Truncate, 0x80000000, true),
  truncateI64: storeI64(f80ToI64Truncate),
  storeBcd,
  storeRegister: storeRegister(false),
  storeRegisterPop: storeRegister(true),
  exchange,
  conditionalMove,
  incstp: rotate(1),
  decstp: rotate(-1),
  free: free(false),
  freePop: free(true),
  fcom: compareRegisters(fcom, 0),
  fcomPop: compareRegisters(fcom, 1),
  fcomPopPop: compareRegisters(fcom, 2),
  fucom: compareRegisters(fucom, 0),
  fucomPop: compareRegisters(fucom, 1),
  fucomPopPop: compareRegisters(fucom, 2),
  fcomF32: compareF32(false),
  fcomF32Pop: compareF32(true),
  fcomF64: compareF64(false),
  fcomF64Pop: compareF64(true),
  fcomInt: compareInt(false),
  fcomIntPop: compareInt(true),
  fcomi: compareFlags(fcomi, false),
  fcomiPop: compareFlags(fcomi, true),
  fucomi: compareFlags(fucomi, false),
  fucomiPop: compareFlags(fucomi, true),
  fxam: examine,
  ftst: test,
  fchs: unary(fchs),
  fabs: unary(fabs),
  fsqrt: unary(fsqrt),
  frndint: unary(frndint),
  f2xm1: unary(f2xm1),
  fsin: completes(unary(fsin), topEmpty),
  fcos: completes(unary(fcos), topEmpty),
  fprem: completes(topTwo(fprem), topTwoEmpty),
  fprem1: completes(topTwo(fprem1), topTwoEmpty),
  fscale: topTwo(fscale),
  fyl2x: intoSecond(fyl2x),
  fyl2xp1: intoSecond(fyl2xp1),
  fpatan: intoSecond(fpatan),
  fsincos: completes(
    pushing((env, a) => {
      const { sine, cosine } = fsincos(env, a);
      return { replaced: sine, pushed: cosine };
    }),
    topEmptyOrFull,
  ),
  fptan: completes(
    pushing((env, a) => {
      const { tangent, pushed } = fptan(env, a);
      return { replaced: tangent, pushed };
    }),
    topEmptyOrFull,
  ),
  fxtract: pushing((env, a) => {
    const { significand, exponent } = fxtract(env, a);
    return { replaced: exponent, pushed: significand };
  }),
} satisfies Record<string, Operation>;

export type X87OperationName = keyof typeof OPERATIONS;

const names = Object.keys(OPERATIONS) as X87OperationName[];
const table: readonly Operation[] = Object.values(OPERATIONS);

/** Number of an operation, as the helper `x87` takes it. */
export function x87Operation(name: X87OperationName): number {
  return names.indexOf(name);
}

/**
 * The helper `x87` of a memory's CPUs: (CPU block, operation, register number or bits 79:64, bits 31:0, bits 63:32 of a
 * memory operand) -> result.
 */
export function x87Helper(
  memory: Memory,
): (cpu: number, operation: number, i: number, lo: number, hi: number) => number {
  const unit = new X87(memory);
  return (cpu, operation, i, lo, hi) => table[operation](unit.select(cpu), i, lo, hi);
}
