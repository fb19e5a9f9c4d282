/** One line `E key=value …` that our guest programs print. */
export type GuestRecord = Readonly<Record<string, string>>;

/** The records among a guest's output, in order; other lines are left out. */
export function parseRecords(output: string): GuestRecord[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('E '))
    .map((line) =>
      Object.fromEntries(
        line
          .slice(2)
          .split(' ')
          .map((pair) => {
            const at = pair.indexOf('=');
            return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
          }),
      ),
    );
}
