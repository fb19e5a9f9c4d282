import type { Memory } from '../memory/memory.js';
import { sseHelpers } from './sse-runtime.js';
import { x87Helpers } from './x87-runtime.js';

/**
 * The helpers of src/translate/helpers.ts that are TypeScript. One set serves all CPUs that a worker hosts: a helper is
 * told by its first parameter, the CPU block's pointer, for which of them it works.
 */
export function typescriptHelpers(memory: Memory): Record<string, unknown> {
  return { ...sseHelpers(memory), ...x87Helpers(memory) };
}
