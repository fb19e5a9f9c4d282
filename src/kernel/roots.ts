import { rootPointer, setRoot } from '../memory/roots.js';

export { rootPointer, setRoot };

/** Root slots of tasks and scheduling (8–15, see src/memory/roots.ts). */
export const TaskRoot = { runQueue: 8, tasks: 9, console: 10 } as const;
