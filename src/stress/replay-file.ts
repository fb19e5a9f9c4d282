import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { isAbiName } from '../kernel/pkeys/names.js';
import { checkOptions, UsageError } from '../machine/options.js';
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

const isWhole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isList = (value: unknown, isElement: (element: unknown) => boolean) =>
  Array.isArray(value) && value.every(isElement);
const isText = (value: unknown) => typeof value === 'string';
const isRecord = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether an edited file still says what a machine can be made of. */
function isSound({ options, decisions, found, host, outcome }: Partial<ReplayFile>): boolean {
  if (![options, options?.bounds, decisions, found, host, host?.files, outcome].every(isRecord)) return false;
  const { path, args, env, stdin, cpus, abi, memory, machineSeed, mutants, bounds } = options!;
  const isSwitch = (value: unknown) => isList(value, isWhole) && (value as unknown[]).length === 4;
  return (
    [path, stdin, abi].every(isText) &&
    isList(args, isText) &&
    isList(env, isText) &&
    isAbiName(abi) &&
    [cpus, memory, machineSeed, mutants, ...Object.values(bounds)].every(isWhole) &&
    isList(decisions!.switches, isSwitch) &&
    isList(decisions!.delays, isWhole)
  );
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
  if (replay?.europa !== 1 || !isSound(replay)) {
    throw new UsageError(`${path}: is no replay file`);
  }
  const { cpus, memory } = replay.options;
  checkOptions({ cpus, memory });
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
