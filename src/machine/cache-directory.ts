import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where translations are kept unless the user says otherwise: as the XDG Base Directory Specification has it. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_CACHE_HOME;
  // Relative paths in the variable are to be ignored.
  return join(base?.startsWith('/') ? base : join(homedir(), '.cache'), 'europa');
}
