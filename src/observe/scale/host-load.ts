import { availableParallelism, cpus } from 'node:os';

/**
 * What other programs do on the host meanwhile. On a host that others use too, throughput is what they leave over, and no
 * statistics on it can tell that from poor scaling.
 */
export class HostLoad {
  private readonly began = performance.now();
  private readonly busy = busyMilliseconds();
  private readonly own = process.cpuUsage();

  /**
   * Cores that others have kept busy since this object was made, on average; null where that cannot be known: this process
   * may use only some of the cores that the host counts.
   */
  others(): number | null {
    if (cpus().length !== availableParallelism()) return null;
    const { user, system } = process.cpuUsage(this.own);
    const others = busyMilliseconds() - this.busy - (user + system) / 1000;
    return Math.max(0, others / (performance.now() - this.began));
  }
}

/** Time that all cores together have not been idle, ms. */
function busyMilliseconds(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}
