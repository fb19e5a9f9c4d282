/** The protection-key ABIs a machine can offer; Machine.abi is the index. */
export const ABI_NAMES = ['minimal', 'linux', 'mm-bitmap', 'task-bitmap', 'hybrid', 'vdso'] as const;

export type AbiName = (typeof ABI_NAMES)[number];

export function isAbiName(name: string): name is AbiName {
  return (ABI_NAMES as readonly string[]).includes(name);
}
