import type { KernelCpu } from './kernel-cpu.js';

export function handlerPkru(_k: KernelCpu): number {
  return 0x5555_5554;
}
export function initialPkru(_k: KernelCpu): number {
  return 0x5555_5554;
}
export function childPkeys(_k: KernelCpu, _task: number): void {}
