import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { UsageError } from '../machine/options.js';
import type { Decisions } from '../scheduler/seeded/listed.js';
import type { RunOutcome, SeededOptions } from './options.js';
import type { HostRecording } from './recorded-host.js';

/** Everything it takes to make a run again: a JSON file. */
export interface ReplayFile {
  readonly europa: 1;
  readonly options: SeededOptions;
  /** Of the program's file. */
  readonly sha256: string;
  /** Where the run was found. */
  readonly found: { readonly schedule: string; readonly seed: number; readonly run: number };
  readonly decisions: Decisions;
  /** What the program was told about its host: files that it has read, and the like. */
  readonly host: HostRecording;
  readonly outcome: Pick<RunOutcome, 'kind' | 'exitCode' | 'signal' | 'traceHash' | 'switches'>;
}

export function fileHash(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

export function writeReplay(path: string, replay: ReplayFile): void {
  try {
    writeFileSync(path, `${JSON.stringify(replay, null, 2)}\n`);
  } catch (error) {
    throw new UsageError(`${path}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** @throws UsageError if the file is no replay file, or the program is not the one that it was made with */
export function readReplay(path: string): ReplayFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  let replay: ReplayFile;
  try {
    replay = JSON.parse(text) as ReplayFile;
  } catch {
    throw new UsageError(`${path}: is no replay file`);
  }
  if (
    replay?.europa !== 1 ||
    !replay.options?.path ||
    !Array.isArray(replay.decisions?.switches) ||
    !replay.host?.files
  ) {
    throw new UsageError(`${path}: is no replay file`);
  }
  let hash: string;
  try {
    hash = fileHash(replay.options.path);
  } catch (error) {
    throw new UsageError(`${replay.options.path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (hash !== replay.sha256) {
    throw new UsageError(`${replay.options.path}: is not the program that the replay file was made with`);
  }
  return replay;
}
