/** Throughputs in operations a second: one row for each round, one column for each CPU count. */
export type Rounds = readonly (readonly number[])[];

/**
 * Measures each CPU count once a round. Every other round goes through the counts backwards, so that a host that gets slower
 * meanwhile slows few and many CPUs alike.
 * @param sample throughput of one run on so many CPUs
 */
export async function measureRounds(
  counts: readonly number[],
  rounds: number,
  sample: (cpus: number) => Promise<number>,
): Promise<Rounds> {
  const result: number[][] = [];
  for (let round = 0; round < rounds; round++) {
    const order = counts.map((_, i) => (round % 2 === 0 ? i : counts.length - 1 - i));
    const row: number[] = new Array(counts.length);
    for (const i of order) row[i] = await sample(counts[i]);
    result.push(row);
  }
  return result;
}
