import { readFileSync } from 'node:fs';
import type { AbiName } from '../kernel/pkeys/names.js';
import { UsageError } from '../machine/options.js';
import { packageFile } from '../startup/package-file.js';

/** An entry of src/guests/workloads/manifest.json; its comment says what the fields mean. */
export interface Workload {
  readonly name: string;
  readonly file: string;
  readonly kind: string;
  readonly description: string;
  readonly failureKind: 'exit' | 'deadlock';
  readonly twins: boolean;
  readonly args: { readonly faulty?: readonly string[]; readonly fixed: readonly string[] };
  readonly failsUnder: readonly AbiName[];
  readonly skipsUnder: readonly AbiName[];
  readonly threads: number;
}

let known: readonly Workload[] | undefined;

/** Our own workloads. */
export function workloads(): readonly Workload[] {
  known ??= (
    JSON.parse(readFileSync(packageFile('src/guests/workloads/manifest.json'), 'utf8')) as {
      workloads: Workload[];
    }
  ).workloads;
  return known;
}

/** Path and arguments of a workload: "lost-update", "lost-update/fixed". The faulty twin is the default. @throws UsageError */
export function workloadProgram(target: string): {
  path: string;
  args: readonly string[];
  workload: Workload;
} {
  const [name, twin = 'faulty'] = target.split('/');
  const workload = workloads().find((entry) => entry.name === name);
  if (!workload) {
    const names = workloads().map((entry) => entry.name);
    throw new UsageError(
      `there is no workload '${target}'; the workloads are ${names.join(', ')}; programs come after --`,
    );
  }
  if (twin !== 'faulty' && twin !== 'fixed')
    throw new UsageError(`a workload's twin is faulty or fixed, not ${twin}`);
  const args = workload.args[twin] ?? workload.args.fixed;
  return { path: packageFile(`src/guests/${workload.file}`), args, workload };
}
