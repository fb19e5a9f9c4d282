/**
 * A program that cannot be loaded, for a reason that lies with the file or the machine's size.
 *
 * The message is one line that begins with the program's path; the command line prints it and exits with status 2.
 */
export class LoadError extends Error {
  override readonly name = 'LoadError';

  constructor(
    readonly path: string,
    readonly reason: string,
  ) {
    super(`${path}: ${reason}`);
  }
}
