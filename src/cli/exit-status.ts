import { LoadError } from '../loader/load-error.js';
import { UsageError } from '../machine/options.js';

/** Exit status of a mistake of the user's. */
export const USAGE = 2;

/** Runs a command's body: a mistake of the user's becomes one line on standard error and its status. */
export async function withUsageErrors(body: () => Promise<number>): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof LoadError)) throw error;
    process.stderr.write(`europa: ${error.message}\n`);
    return USAGE;
  }
}
