import pc from 'picocolors';
import { findProperty } from './properties/index.js';
import type { Colours } from './table.js';
import { agrees, type Result, type Step } from './verdicts.js';

/** The interleaving as a numbered list, headed by property and ABI; what an error or a note says, if there are no steps. */
export function renderWitness(result: Result, colours: Colours = pc): string {
  const property = findProperty(result.property);
  const circumstances = result.variant === undefined ? '' : `, ${result.variant}`;
  const verdict = agrees(result) ? result.observed : `${result.observed}, expected ${result.expected}`;
  const head = `${colours.bold(result.property)} (${result.abi}${circumstances}): ${verdict}`;
  const lines = [head, colours.dim(`  ${property?.statement ?? ''}`)];
  for (const step of result.witness ?? []) lines.push(renderStep(step));
  if (result.note !== undefined) lines.push(colours.dim(`  ${result.note}`));
  return `${lines.join('\n')}\n`;
}

function renderStep({ step, thread, cpu, did, pkru, key, result }: Step): string {
  const page = key === null ? '' : `, page key ${key}`;
  const outcome = result === '' ? '' : ` → ${result}`;
  return `  ${step}. thread ${thread}, CPU ${cpu}: ${did}${outcome}  [PKRU ${pkru}${page}]`;
}
