import { Command, CommanderError } from 'commander';
import { say } from '../kernel/host-write.js';
import { USAGE } from './exit-status.js';

/** The commands; only the one asked for is loaded, since a program's start waits for it. */
const COMMANDS: Record<string, () => Promise<Command>> = {
  run: async () => (await import('./run.js')).runCommand(),
  demo: async () => (await import('./demo.js')).demoCommand(),
  verify: async () => (await import('./verify.js')).verifyCommand(),
  stress: async () => (await import('./stress.js')).stressCommand(),
  replay: async () => (await import('./replay.js')).replayCommand(),
  scale: async () => (await import('./scale.js')).scaleCommand(),
};
const named = Object.keys(COMMANDS).find((name) => name === process.argv[2]);

/**
 * Standard output or error that can't be written: nobody reads any more, which ends this command as SIGPIPE would, or the disk is full.
 * Said here and not by a listener of the streams, since making those takes milliseconds.
 */
function failedWrite(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(SIGPIPE_STATUS);
  if (error.syscall === 'write') say(`europa: standard output cannot be written (${error.code})\n`);
  else say(`${error.stack ?? error}\n`);
  process.exit(error.syscall === 'write' ? USAGE : 1);
}

const SIGPIPE_STATUS = 128 + 13;

/** The command line. */
export async function main(): Promise<void> {
  process.on('uncaughtException', failedWrite);
  const program = new Command('europa')
    .description(
      'An SMP emulator for x86-64 memory protection keys: runs Linux programs, unmodified, on N emulated CPUs',
    )
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeErr: (text) => process.stderr.write(text),
      outputError: (text, write) => write(`europa: ${text.replace(/^error: /, '')}`),
    });
  for (const [name, load] of Object.entries(COMMANDS)) {
    if (named && name !== named) continue;
    program.addCommand((await load()).copyInheritedSettings(program));
  }

  try {
    await program.parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version are what was asked for.
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  }
}
