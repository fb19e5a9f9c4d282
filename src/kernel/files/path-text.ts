/** Absolute paths as texts; nothing is looked up. */

/** A path without ".", ".." and superfluous slashes. */
export function normalize(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** How /proc names an open file: by its path, which a file of memfd_create has none of. */
export function shownPath(path: string): string {
  return path.startsWith('/memfd:') ? path : normalize(path);
}
