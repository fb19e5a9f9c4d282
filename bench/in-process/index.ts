import { bootBenchmarks } from './boot.js';
import { callBenchmarks } from './calls.js';
import { keyBenchmarks } from './keys.js';
import type { Benchmark } from './measure.js';
import { memoryBenchmarks } from './memory.js';
import { shootdownBenchmarks } from './shootdown.js';
import { switchBenchmarks } from './switching.js';
import { translationBenchmarks } from './translation.js';

/** All benchmarks, in the order in which they run. */
export const benchmarks: readonly Benchmark[] = [
  ...memoryBenchmarks,
  ...keyBenchmarks,
  ...callBenchmarks,
  ...switchBenchmarks,
  ...translationBenchmarks,
  ...shootdownBenchmarks,
  ...bootBenchmarks,
];
