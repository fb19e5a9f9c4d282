import { UsageError } from '../machine/options.js';

/** The program does something with its host that seeded runs could not repeat. */
export class HostRefusal extends UsageError {
  /** @param path what it does it with, a byte string */
  constructor(
    readonly path: string,
    readonly reason: string,
  ) {
    super(`${Buffer.from(path, 'latin1').toString('utf8')}: ${reason}`);
  }
}
