import type { GuestCpu } from '../cpu/guest-cpu.js';

/** What memory management needs of a CPU. */
export type MmuCpu = Pick<
  GuestCpu,
  'memory' | 'base' | 'id' | 'pkru' | 'flushTlb' | 'flushTlbRange' | 'dropCode' | 'dropFrame'
>;
