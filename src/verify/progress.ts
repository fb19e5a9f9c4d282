import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  add(count: number): void;
  stop(): void;
}

/** A bar on standard error while the checks run; nothing where standard error is no terminal. */
export function showProgress(total: number, unit: string): Progress {
  const bar = new SingleBar(
    {
      format: `{bar} {value}/{total} ${unit}, {duration_formatted}`,
      clearOnComplete: true,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  bar.start(total, 0);
  return { add: (count) => bar.increment(count), stop: () => bar.stop() };
}
