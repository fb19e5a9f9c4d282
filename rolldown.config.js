import { defineConfig } from 'rolldown';

/**
 * Makes one file each of the command and the thread entries, in place of what the compiler wrote there: loading a hundred small
 * modules takes every thread a tenth of a second. Piscina stays outside, since it finds its own worker beside itself.
 */
const entry = (file, output = {}) => ({
  input: `dist/${file}.js`,
  platform: 'node',
  external: [/^piscina/, /^iced-x86/],
  output: {
    dir: `dist/${file.slice(0, file.lastIndexOf('/'))}`,
    format: 'esm',
    chunkFileNames: '[name].js',
    ...output,
  },
});

export default defineConfig([
  entry('src/cli/main'),
  entry('workers/scheduler'),
  // The translator and the kernel are a chunk of their own, which CPUs load when they are needed.
  entry('workers/cpu'),
]);
