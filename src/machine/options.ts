import { ABI_NAMES, type AbiName, isAbiName } from '../kernel/pkeys/names.js';
import { MAX_CPUS } from '../memory/layout.js';

/** A mistake of the user's: the message is one line that says what to change. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface MachineOptions {
  /** Emulated CPUs, 1 to 64; 1 unless given. */
  readonly cpus?: number;
  /** The protection-key ABI; `linux` unless given. */
  readonly abi?: AbiName;
  /** Clear key 14's bits at every context switch (requirement M5 of the proposal). */
  readonly debugFpu?: boolean;
  /** Guest memory in bytes, at least 1 MiB; 512 MiB unless given. Reduced to what fits beside the kernel's in 4 GiB. */
  readonly memory?: number;
  /** Seed of everything random in a seeded machine. */
  readonly seed?: number;
  /** Log system calls to standard error. */
  readonly strace?: boolean;
  /** 'inherit' (the default) writes to the host's standard output and error; 'capture' collects both. */
  readonly stdout?: 'inherit' | 'capture';
  /** 'inherit' reads the host's standard input; bytes are all the input that there is. Nothing unless given. */
  readonly stdin?: 'inherit' | Uint8Array;
  /** Deliberate defects (src/memory/mutants.ts). */
  readonly mutants?: number;
  /** Directory for translations that later runs of a program use (`cacheDirectory`); none are kept unless given. */
  readonly translations?: string | null;
}

export interface CheckedOptions {
  readonly cpus: number;
  readonly abi: AbiName;
  readonly debugFpu: boolean;
  readonly memory: number;
  readonly seed: number;
  readonly strace: boolean;
  readonly stdout: 'inherit' | 'capture';
  readonly stdin: 'inherit' | Uint8Array;
  readonly mutants: number;
  readonly translations: string | null;
}

const LEAST_MEMORY = 1 << 20;
const MOST_MEMORY = 2 ** 32;

/** @throws UsageError */
export function checkOptions(options: MachineOptions): CheckedOptions {
  const { cpus = 1, abi = 'linux', memory = 512 << 20, seed = 0 } = options;
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_CPUS) {
    throw new UsageError(`a machine has 1 to ${MAX_CPUS} CPUs, not ${cpus}`);
  }
  if (!isAbiName(abi)) throw new UsageError(`there is no ABI '${abi}'; the ABIs are ${ABI_NAMES.join(', ')}`);
  if (!Number.isInteger(memory) || memory < LEAST_MEMORY || memory > MOST_MEMORY) {
    throw new UsageError('guest memory is 1M to 4G');
  }
  if (!Number.isSafeInteger(seed) || seed < 0) throw new UsageError('a seed is a whole number from 0 on');
  return {
    cpus,
    abi,
    memory,
    seed,
    debugFpu: options.debugFpu ?? false,
    strace: options.strace ?? false,
    stdout: options.stdout ?? 'inherit',
    stdin: options.stdin ?? new Uint8Array(0),
    mutants: options.mutants ?? 0,
    translations: options.translations ?? null,
  };
}
