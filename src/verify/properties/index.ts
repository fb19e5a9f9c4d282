import type { Property } from '../property.js';
import { accessProperties } from './access.js';
import { executeOnlyProperties } from './execute-only.js';
import { keyProperties } from './keys.js';
import { retagProperties } from './retag.js';
import { signalProperties } from './signals.js';
import { threadProperties } from './threads.js';

/** All properties, in the order in which a guest program looks at those that it has. */
export const PROPERTIES: readonly Property[] = [
  ...accessProperties,
  ...threadProperties,
  ...retagProperties,
  ...signalProperties,
  ...keyProperties,
  ...executeOnlyProperties,
];

/** The property of a name, or of a number written in decimal; undefined if there is none. */
export function findProperty(nameOrNumber: string): Property | undefined {
  return PROPERTIES.find(({ name, number }) => name === nameOrNumber || String(number) === nameOrNumber);
}
