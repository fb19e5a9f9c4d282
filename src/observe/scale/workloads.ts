/** A workload of our own: src/guests/scale/scale-NAME.c. */
export interface Workload {
  readonly name: string;
  /** What one operation is, in the plural. */
  readonly unit: string;
  readonly description: string;
}

/** All of them, in the order in which they are measured. */
export const WORKLOADS: readonly Workload[] = [
  { name: 'compute', unit: 'steps', description: 'private compute' },
  { name: 'domain-switch', unit: 'switches', description: 'private domain switching: open, store, shut' },
  { name: 'mprotect-disjoint', unit: 'calls', description: 'pkey_mprotect, a page for each thread' },
  { name: 'mprotect-shared', unit: 'calls', description: 'pkey_mprotect, one page for all threads' },
  { name: 'shootdown', unit: 'shootdowns', description: 'shootdown storm: pages that all CPUs keep reading' },
  { name: 'futex', unit: 'critical sections', description: 'contended futex: one mutex for all threads' },
  { name: 'context-switch', unit: 'switches', description: 'context-switch storm: two threads for each CPU' },
  { name: 'page-fault', unit: 'pages', description: 'page-fault storm: map, touch, unmap' },
];
