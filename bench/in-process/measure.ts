import { Bench } from 'tinybench';

/** One measured operation. */
export interface Benchmark {
  readonly name: string;
  /** What one operation is. */
  readonly what: string;
  /** Sets up what is measured; called once, before anything is timed. */
  prepare(): Prepared | Promise<Prepared>;
}

export interface Prepared {
  /** Operations of one sample: short operations are timed in batches. */
  readonly operations: number;
  /** Samples that V8 needs at least to optimise what is measured; 2 unless given. */
  readonly warmup?: number;
  /** Performs them and answers how long they took, ms. */
  sample(): number | Promise<number>;
  close?(): void | Promise<void>;
}

/** What a benchmark gave. Times in ns for one operation. */
export interface Measured {
  readonly name: string;
  readonly what: string;
  readonly median: number;
  readonly mean: number;
  readonly fastest: number;
  /** Half the 95 % confidence interval of the mean, in percent of it. */
  readonly relativeMargin: number;
  /** Operations a second, by the median. */
  readonly rate: number;
  readonly samples: number;
  /** Operations of one sample. */
  readonly operations: number;
}

/** Samples at least taken, before and while measuring. */
const LEAST = { warmup: 2, samples: 5 } as const;
/** Of the time that is measured, so much goes before it for V8 to optimise. */
const WARMUP_SHARE = 0.4;

/** Measures one benchmark for about `milliseconds`; 0 takes one sample, without warming up. */
export async function measure(benchmark: Benchmark, milliseconds: number): Promise<Measured> {
  const { name, what } = benchmark;
  const prepared = await benchmark.prepare();
  const { operations } = prepared;
  const bench = new Bench({
    time: milliseconds,
    iterations: milliseconds === 0 ? 1 : LEAST.samples,
    warmup: milliseconds > 0,
    warmupTime: milliseconds * WARMUP_SHARE,
    warmupIterations: prepared.warmup ?? LEAST.warmup,
    throws: true,
  });
  try {
    bench.add(
      name,
      async () => {
        const begin = performance.now();
        const elapsed = await prepared.sample();
        // Where a loop without the operation is subtracted, noise can exceed what is left.
        const overriddenDuration = Math.max(0, elapsed) / operations;
        return { overriddenDuration, overriddenIterationCost: performance.now() - begin };
      },
      { async: true },
    );
    const [task] = await bench.run();
    const { result } = task;
    if (result.state !== 'completed') throw new Error(`${name} was not completed`);
    const { latency } = result;
    const nanoseconds = (ms: number) => ms * 1e6;
    return {
      name,
      what,
      median: nanoseconds(latency.p50),
      mean: nanoseconds(latency.mean),
      fastest: nanoseconds(latency.min),
      relativeMargin: latency.rme,
      rate: latency.p50 > 0 ? 1000 / latency.p50 : 0,
      samples: latency.samplesCount,
      operations,
    };
  } finally {
    await prepared.close?.();
  }
}

/** Time of a synchronous piece of work, ms. */
export function time(work: () => void): number {
  const begin = performance.now();
  work();
  return performance.now() - begin;
}
