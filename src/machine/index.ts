export type { AbiName } from '../kernel/pkeys/names.js';
export { LoadError } from '../loader/load-error.js';
export type { CpuStats, Stats } from '../observe/stats.js';
export { type Death, Machine, type RunResult } from './machine.js';
export type { KeyFault } from './messages.js';
export { type MachineOptions, UsageError } from './options.js';
