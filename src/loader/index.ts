export * from './elf.js';
export * from './load.js';
export * from './load-error.js';
export * from './plan.js';
export * from './program-file.js';
export * from './stack.js';
export * from './symbols.js';
