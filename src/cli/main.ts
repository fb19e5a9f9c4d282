#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { demoCommand } from './demo.js';
import { replayCommand } from './replay.js';
import { runCommand } from './run.js';
import { scaleCommand } from './scale.js';
import { stressCommand } from './stress.js';
import { verifyCommand } from './verify.js';
import { USAGE } from './exit-status.js';

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
for (const command of [
  runCommand(),
  demoCommand(),
  verifyCommand(),
  stressCommand(),
  replayCommand(),
  scaleCommand(),
]) {
  program.addCommand(command.copyInheritedSettings(program));
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Help and version are what was asked for.
  process.exitCode = error.exitCode === 0 ? 0 : USAGE;
}
