import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { handlerBytes } from '../machine/handlers.js';
import { icedBytes, SMALL_ICED, smallIced, useIced } from '../translate/iced/library.js';
import { InsnDecoder } from '../translate/insn.js';
import { runtimeBytes } from '../translate/runtime.js';
import { sseBytes } from '../translate/sse-runtime.js';
import { x87Bytes } from '../translate/x87-runtime.js';
import { KEEP_PLAIN } from '../wasm/v8.js';
import { keepEmitted, keepModule } from './kept-module.js';
import { compiledFile, packageFile } from './package-file.js';

/**
 * The last step of `npm run build`: keeps the code that V8 makes of the modules and the bundles. Nothing depends on it but the time
 * that a start takes, so what fails is left out. Each part is a process of its own, since V8 ends the process if it is asked wrongly.
 */
function build(): void {
  const start = compiledFile('start');
  writeFileSync(join(start, 'package.json'), '{ "type": "commonjs" }\n');
  writeFileSync(SMALL_ICED, smallIced());
  run([process.argv[1], 'modules'], {});
  // A program whose start is like that of most.
  for (const EUROPA_KEEP_CODE of ['flags', KEEP_PLAIN])
    run([compiledFile('src/cli/main.js'), 'run', packageFile(TYPICAL)], { EUROPA_KEEP_CODE });
}

/** Each part takes about a second. */
const LONGEST_MS = 60_000;

const TYPICAL = 'src/guests/bin/selftest';

function run(args: readonly string[], env: Record<string, string>): void {
  const { status } = spawnSync(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: LONGEST_MS,
  });
  if (status !== 0) process.stderr.write(`europa: starts will be slower: no code was kept of ${args[0]}\n`);
}

function keepModules(): void {
  keepModule('handlers', handlerBytes(), null);
  keepEmitted('runtime', runtimeBytes());
  keepEmitted('sse', sseBytes());
  keepEmitted('x87', x87Bytes());
  keepModule('iced', icedBytes(), (module) => {
    useIced(module);
    const decoder = new InsnDecoder();
    for (const line of readFileSync(packageFile(SHAPES), 'utf8').split('\n')) {
      decoder.decode(Buffer.from(line.split(' ', 1)[0], 'hex'), 0x40_0000);
    }
  });
}

/** The commonest instructions. */
const SHAPES = 'src/translate/threaded/shapes.txt';

if (process.argv[2] === 'modules') keepModules();
else build();
