#!/usr/bin/env node
import { createRequire } from 'node:module';

/** The command's file: all else is CommonJS, since each module of Node's that an ECMAScript module imports costs a millisecond more. */
createRequire(import.meta.url)('../../start/main.js');
