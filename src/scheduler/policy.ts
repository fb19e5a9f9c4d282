/** How ready tasks are ordered. The scheduler asks it; tasks are pointers. */
export interface SchedulePolicy {
  readonly name: string;
  /** How long a task may run, in ns, while others wait for its CPU. */
  readonly slice: number;

  /** A task has become ready: it is new, was woken, or lost its CPU. */
  enqueue(task: number): void;

  /** Offers the waiting tasks in the policy's order; those that `place` accepts leave the queue. Ends when `place` says 'full'. */
  offer(place: (task: number) => 'placed' | 'refused' | 'full'): void;

  /** Whether a waiting task may run on the CPU. */
  waitsFor(cpu: number): boolean;

  /** Number of waiting tasks. */
  readonly length: number;
}
