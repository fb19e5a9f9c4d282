/** Machine code for the measured loops. RBX counts the iterations down. */

const SYS_FUTEX = 202;
export const SYS_GETPPID = 110;
export const SYS_SCHED_YIELD = 24;
/** FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE */
export const FutexOperation = { wait: 128, wake: 129 } as const;

/** 32 bits, little-endian. */
const word = (value: number): number[] => [value, value >> 8, value >> 16, value >> 24].map((b) => b & 0xff);

export const repeat = (times: number, bytes: readonly number[]): number[] =>
  Array.from({ length: times }, () => bytes).flat();

/** `body`, RBX times, then INT3. */
export function counted(body: readonly number[]): number[] {
  const decrement = [0x48, 0xff, 0xcb]; // dec rbx
  const back = -(body.length + decrement.length + 6);
  return [...body, ...decrement, 0x0f, 0x85, ...word(back), 0xcc]; // jnz back; int3
}

/** `body` for ever. */
export function endless(body: readonly number[]): number[] {
  return [...body, 0xe9, ...word(-(body.length + 5))]; // jmp back
}

/** mov rax,[rax] */
export const FOLLOW_RAX = [0x48, 0x8b, 0x00];
/** mov [rax+8],rdx */
export const STORE_BEHIND_RAX = [0x48, 0x89, 0x50, 0x08];
/** mov [rsi],rbx */
export const STORE_RBX = [0x48, 0x89, 0x1e];
/** mov eax,[rsi] */
export const LOAD_EAX = [0x8b, 0x06];
/** wrpkru */
export const WRPKRU = [0x0f, 0x01, 0xef];
/** xsave64 [rdi] and xrstor64 [rdi], of the components in EDX:EAX */
export const XSAVE = [0x48, 0x0f, 0xae, 0x27];
export const XRSTOR = [0x48, 0x0f, 0xae, 0x2f];
/** mov eax,r14d */
export const EAX_FROM_R14 = [0x44, 0x89, 0xf0];
/** mov eax,r15d */
export const EAX_FROM_R15 = [0x44, 0x89, 0xf8];
/** xor ecx,ecx; xor edx,edx */
export const CLEAR_ECX_EDX = [0x31, 0xc9, 0x31, 0xd2];

/** mov eax,number; syscall */
export function systemCall(number: number): number[] {
  return [0xb8, ...word(number), 0x0f, 0x05];
}

/** futex(rdi, operation, value), R10 being 0: no time limit. */
export function futex(operation: number, value: number): number[] {
  return [0xbe, ...word(operation), 0xba, ...word(value), ...systemCall(SYS_FUTEX)];
}

/** mov dword [rdi],value */
export function storeAtRdi(value: number): number[] {
  return [0xc7, 0x07, ...word(value)];
}

/** `times` times `body`, then FUTEX_WAIT for the word at RDI to be no longer 0; and again from the start. */
export function batches(times: number, body: readonly number[]): number[] {
  const set = [0x48, 0xc7, 0xc3, ...word(times)]; // mov rbx,times
  return endless([...set, ...counted(body).slice(0, -1), ...futex(FutexOperation.wait, 0)]);
}
