import type { Memory } from '../memory/memory.js';
import { mayRunOn } from '../kernel/affinity.js';
import { RunQueue, runQueue } from '../kernel/run-queue.js';
import { Task } from '../kernel/task-layout.js';
import type { SchedulePolicy } from './policy.js';

/**
 * First come, first served with equal time slices: a task that loses its CPU goes to the end of the queue, so nobody waits
 * longer than all others' slices together. The queue is in shared memory, where tools can look at it.
 */
export class RoundRobin implements SchedulePolicy {
  readonly name = 'round-robin';
  length = 0;
  private readonly queue: number;

  constructor(
    private readonly memory: Memory,
    readonly slice = 5_000_000,
  ) {
    this.queue = runQueue(memory);
  }

  enqueue(task: number): void {
    const { memory, queue } = this;
    const last = memory.loadU32(queue + RunQueue.last);
    memory.store32(task + Task.queueNext, 0);
    memory.store32(last === 0 ? queue + RunQueue.first : last + Task.queueNext, task);
    memory.store32(queue + RunQueue.last, task);
    this.length++;
  }

  offer(place: (task: number) => 'placed' | 'refused' | 'full'): void {
    const { memory, queue } = this;
    let previous = 0;
    for (let task = memory.loadU32(queue + RunQueue.first); task !== 0; ) {
      // Read before `place`: an accepted task may be running, and be queued again, by the time it returns.
      const next = memory.loadU32(task + Task.queueNext);
      const answer = place(task);
      if (answer === 'full') return;
      if (answer === 'placed') {
        memory.store32(previous === 0 ? queue + RunQueue.first : previous + Task.queueNext, next);
        if (next === 0) memory.store32(queue + RunQueue.last, previous);
        this.length--;
      } else {
        previous = task;
      }
      task = next;
    }
  }

  waitsFor(cpu: number): boolean {
    const { memory } = this;
    for (let task = memory.loadU32(this.queue + RunQueue.first); task !== 0; ) {
      if (mayRunOn(memory, task, cpu)) return true;
      task = memory.loadU32(task + Task.queueNext);
    }
    return false;
  }
}
