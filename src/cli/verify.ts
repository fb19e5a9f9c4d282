import { Command, InvalidArgumentError } from 'commander';
import { ABI_NAMES, type AbiName, isAbiName } from '../kernel/pkeys/names.js';
import { runMutants, runVerification } from '../machine/verification.js';
import { withUsageErrors } from './exit-status.js';

interface VerifyFlags {
  abi?: AbiName[];
  property?: string[];
  json?: string;
  junit?: string;
  mutants: boolean;
  witnesses: boolean;
}

/** `europa verify`: who keeps which property of protection keys. */
export function verifyCommand(): Command {
  return new Command('verify')
    .description('check the properties of protection keys under every ABI, and show the counterexamples')
    .option('--abi <name>', 'only this ABI (may be repeated)', abis)
    .option(
      '--property <name>',
      'only this property, by name or number, with its violations (may be repeated)',
      names,
    )
    .option('--json <file>', 'write the verdicts as JSON')
    .option('--junit <file>', 'write the verdicts as JUnit XML')
    .option('--witnesses', 'print the interleaving of every violation', false)
    .option('--mutants', 'check the checks: run them on deliberately broken machines', false)
    .action(async ({ abi, property, mutants, witnesses, ...files }: VerifyFlags) => {
      const status = await withUsageErrors(() =>
        mutants
          ? runMutants(files)
          : runVerification({
              ...files,
              abis: abi,
              properties: property,
              witnesses: witnesses || property !== undefined,
            }),
      );
      process.exit(status);
    });
}

/** Values of an option that may be given several times. */
function abis(value: string, before: AbiName[] | undefined): AbiName[] {
  if (!isAbiName(value)) throw new InvalidArgumentError(`The ABIs are ${ABI_NAMES.join(', ')}.`);
  return [...(before ?? []), value];
}

function names(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}
