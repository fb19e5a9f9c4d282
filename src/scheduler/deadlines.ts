/** A sleep that ends by itself. */
export interface Deadline {
  /** Monotonic ns. */
  readonly time: number;
  readonly task: number;
  /** `sleepNumberOf` the sleep: an entry whose sleep is over is ignored when its time comes. */
  readonly sleepNumber: number;
}

/** The deadlines of detached tasks, as a binary heap by time. */
export class Deadlines {
  private readonly heap: Deadline[] = [];

  get size(): number {
    return this.heap.length;
  }

  /** The earliest one's time, Infinity if there is none. */
  get next(): number {
    return this.heap.length === 0 ? Infinity : this.heap[0].time;
  }

  /** All of them, in no order. */
  all(): readonly Deadline[] {
    return [...this.heap];
  }

  clear(): void {
    this.heap.length = 0;
  }

  add(deadline: Deadline): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(deadline);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (heap[parent].time <= deadline.time) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = deadline;
  }

  /** Takes the earliest one if its time has come. */
  take(now: number): Deadline | null {
    const { heap } = this;
    if (heap.length === 0 || heap[0].time > now) return null;
    const first = heap[0];
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1].time < heap[child].time) child++;
      if (heap[child].time >= last.time) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return first;
  }

  /** Drops entries of sleeps that are over, so that many early wake-ups don't fill the heap. */
  prune(alive: (deadline: Deadline) => boolean): void {
    const kept = this.heap.filter(alive);
    this.heap.length = 0;
    for (const deadline of kept) this.add(deadline);
  }
}
