import { mayRunOn } from '../../kernel/affinity.js';
import type { Memory } from '../../memory/memory.js';
import type { SchedulePolicy } from '../policy.js';

/**
 * Ready tasks of a seeded machine. No time slice takes a CPU from a task: the schedule under test says when, and which task
 * is first.
 */
export class ReadyQueue implements SchedulePolicy {
  readonly name = 'seeded';
  readonly slice = Infinity;
  private waiting: number[] = [];

  constructor(private readonly memory: Memory) {}

  get length(): number {
    return this.waiting.length;
  }

  get tasks(): readonly number[] {
    return this.waiting;
  }

  set tasks(tasks: readonly number[]) {
    this.waiting = [...tasks];
  }

  enqueue(task: number): void {
    this.waiting.push(task);
  }

  /** Puts a waiting task before all others. */
  prefer(task: number): void {
    this.waiting = [task, ...this.waiting.filter((other) => other !== task)];
  }

  offer(place: (task: number) => 'placed' | 'refused' | 'full'): void {
    for (const task of [...this.waiting]) {
      const answer = place(task);
      if (answer === 'full') return;
      if (answer === 'placed') this.waiting.splice(this.waiting.indexOf(task), 1);
    }
  }

  waitsFor(cpu: number): boolean {
    return this.waiting.some((task) => mayRunOn(this.memory, task, cpu));
  }
}
