import { defineConfig } from 'rolldown';

/**
 * Makes a few bundles of the command and the threads: loading a hundred small modules takes every thread a tenth of a second. They go to
 * dist/start as CommonJS, for which V8's code can be kept (src/startup/scripts.ts); the command's own file takes the place of what
 * the compiler wrote there.
 */
const base = { platform: 'node', external: [/^iced-x86/, /^@napi-rs/] };

/** Text that is ASCII need not be decoded. Comments are not needed for reading stack traces. */
const output = {
  dir: 'dist/start',
  format: 'cjs',
  exports: 'named',
  comments: false,
  plugins: [
    {
      name: 'ascii',
      renderChunk: (code) =>
        code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
    },
  ],
};

export default defineConfig([
  {
    ...base,
    input: { main: 'dist/src/cli/main.js' },
    output: { dir: 'dist/src/cli', format: 'esm' },
  },
  {
    ...base,
    input: { pool: 'dist/src/machine/pool.js', cli: 'dist/src/cli/cli.js' },
    output: { ...output, chunkFileNames: 'cli-[name].js' },
  },
  {
    ...base,
    input: {
      main: 'dist/src/cli/start.js',
      cpu: 'dist/workers/cpu.js',
      scheduler: 'dist/workers/scheduler.js',
      // Piscina looks for its own worker beside itself.
      worker: 'node_modules/piscina/dist/worker.js',
    },
    output: { ...output, chunkFileNames: 'thread-[name].js' },
  },
  {
    ...base,
    input: { 'cpu-worker': 'dist/src/machine/cpu-worker.js' },
    output: { ...output, chunkFileNames: 'cpu-[name].js' },
  },
  {
    ...base,
    input: { 'scheduler-thread': 'dist/src/machine/scheduler-thread.js' },
    output: { ...output, chunkFileNames: 'scheduler-[name].js' },
  },
]);
