import { InvalidArgumentError, Option } from 'commander';
import { ABI_NAMES } from '../kernel/pkeys/names.js';

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** "512M" in bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+)([KMG]?)i?B?$/i.exec(text);
  if (!match) throw new InvalidArgumentError('Write a size as 512M or 2G.');
  return Number(match[1]) * UNITS[match[2].toUpperCase()];
}

export function parseWhole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Write a whole number.');
  return Number(text);
}

export const cpusOption = () =>
  new Option('--cpus <n>', 'emulated CPUs, 1 to 64').argParser(parseWhole).default(1);

export const abiOption = (preset: string) =>
  new Option('--abi <name>', 'protection-key ABI').choices([...ABI_NAMES]).default(preset);

export const debugFpuOption = () =>
  new Option('--debug-fpu', "clear key 14's bits at every context switch").default(false);

export const memoryOption = () =>
  new Option('--memory <size>', 'guest memory, 1M to 4G').argParser(parseSize).default(512 << 20, '512M');

export const cacheOption = () =>
  new Option('--no-cache', "neither use nor keep translations of the program's runs");

export const seedOption = () => new Option('--seed <s>', 'seed of the random source').argParser(parseWhole);
