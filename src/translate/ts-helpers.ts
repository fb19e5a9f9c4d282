import type { GuestCpu } from '../cpu/guest-cpu.js';

/** The helpers of src/translate/helpers.ts that are TypeScript, for one CPU. */
export function typescriptHelpers(_cpu: GuestCpu): Record<string, unknown> {
  return {};
}
