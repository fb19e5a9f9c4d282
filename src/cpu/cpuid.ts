import type { CpuidFeature } from 'iced-x86';
import { PKRU_COMPONENT, PKRU_OFFSET, XCR0, XSAVE_BYTES } from './xsave.js';

/**
 * CPUID of the emulated processor: what libc and programs choose their code by.
 *
 * FEATURES is the only list of what the processor offers. The translator asks `isAdvertised` before it implements an
 * instruction, /proc/cpuinfo prints `name`, and `cpuid` computes its bits from the same entries.
 *
 * Vendor and model are those of Intel's Westmere. glibc's ifunc selectors (sysdeps/x86/cpu-features.c) key on them: for
 * an Intel family-6 processor of the Core i line glibc sets Fast_Unaligned_Copy and so takes, without AVX, the
 * `sse2_unaligned_erms` string functions: plain 16-byte moves below 2 KiB and one REP MOVSB or REP STOSB above, which here is
 * one bulk memory operation a page. As an AMD processor with SSSE3 but no AVX it would take `memmove_ssse3`, sixteen PALIGNR
 * loops to translate. With AVX2 the choice stays as good, because glibc asks for that by feature bit.
 */

/** Result registers, each a signed or unsigned 32-bit number (use `>>> 0` to print). */
export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

/** What CPUID's answer depends on besides the leaf. */
export interface CpuidContext {
  /** Number of the CPU, which is also its APIC id. */
  readonly cpuId: number;
  readonly cpuCount: number;
  /** CR4.PKE and the PKU feature; false gives a processor without protection keys. */
  readonly pku: boolean;
}

/** TSC ticks a second: the TSC counts nanoseconds of the machine's clock (leaf 15h says so to those who ask). */
export const TSC_HZ = 1_000_000_000;

type Register = keyof CpuidResult;

/** One feature bit. */
export interface Feature {
  /** Name as in the flags line of Linux's /proc/cpuinfo (arch/x86/include/asm/cpufeatures.h). */
  readonly name: string;
  readonly leaf: number;
  readonly register: Register;
  readonly bit: number;
  readonly advertised: boolean;
  /** Names that iced-x86 gives the instructions which this bit enables. */
  readonly iced: readonly (keyof typeof CpuidFeature)[];
}

const on =
  (leaf: number, register: Register, advertised = true) =>
  (bit: number, name: string, ...iced: (keyof typeof CpuidFeature)[]): Feature => ({
    name,
    leaf,
    register,
    bit,
    advertised,
    iced,
  });
const off = (leaf: number, register: Register) => on(leaf, register, false);

const basicEdx = on(1, 'edx');
const basicEcx = on(1, 'ecx');
const noBasicEcx = off(1, 'ecx');
const structuredEbx = on(7, 'ebx');
const noStructuredEbx = off(7, 'ebx');
const structuredEcx = on(7, 'ecx');
const noStructuredEcx = off(7, 'ecx');
const extendedEdx = on(0x8000_0001, 'edx');
const extendedEcx = on(0x8000_0001, 'ecx');
const noExtendedEcx = off(0x8000_0001, 'ecx');

/** Subleaf 0 of every leaf (leaf 0Dh: subleaf 1). SDM vol. 2, CPUID. */
export const FEATURES: readonly Feature[] = [
  basicEdx(0, 'fpu', 'FPU', 'FPU287', 'FPU387'),
  basicEdx(4, 'tsc', 'TSC'),
  basicEdx(6, 'pae'),
  basicEdx(8, 'cx8', 'CX8'),
  basicEdx(9, 'apic'),
  basicEdx(15, 'cmov', 'CMOV'),
  basicEdx(19, 'clflush', 'CLFSH'),
  basicEdx(23, 'mmx', 'MMX'),
  basicEdx(24, 'fxsr', 'FXSR'),
  basicEdx(25, 'sse', 'SSE'),
  basicEdx(26, 'sse2', 'SSE2'),
  basicEcx(0, 'pni', 'SSE3'),
  basicEcx(9, 'ssse3', 'SSSE3'),
  basicEcx(13, 'cx16', 'CMPXCHG16B'),
  basicEcx(19, 'sse4_1', 'SSE4_1'),
  basicEcx(20, 'sse4_2', 'SSE4_2'),
  basicEcx(23, 'popcnt', 'POPCNT'),
  basicEcx(26, 'xsave', 'XSAVE'),
  basicEcx(27, 'osxsave'),
  basicEcx(31, 'hypervisor'),
  noBasicEcx(1, 'pclmulqdq', 'PCLMULQDQ'),
  noBasicEcx(3, 'monitor', 'MONITOR'),
  noBasicEcx(12, 'fma', 'FMA'),
  noBasicEcx(22, 'movbe', 'MOVBE'),
  noBasicEcx(25, 'aes', 'AES'),
  noBasicEcx(28, 'avx', 'AVX'),
  noBasicEcx(29, 'f16c', 'F16C'),
  noBasicEcx(30, 'rdrand', 'RDRAND'),
  structuredEbx(0, 'fsgsbase', 'FSGSBASE'),
  structuredEbx(9, 'erms'),
  // FCS and FDS are saved as 0 (SDM vol. 1, 8.1.8).
  structuredEbx(13, 'zero_fcs_fds'),
  noStructuredEbx(3, 'bmi1', 'BMI1'),
  noStructuredEbx(5, 'avx2', 'AVX2'),
  noStructuredEbx(8, 'bmi2', 'BMI2'),
  noStructuredEbx(11, 'rtm', 'RTM'),
  noStructuredEbx(18, 'rdseed', 'RDSEED'),
  noStructuredEbx(19, 'adx', 'ADX'),
  noStructuredEbx(23, 'clflushopt', 'CLFLUSHOPT'),
  noStructuredEbx(24, 'clwb', 'CLWB'),
  noStructuredEbx(29, 'sha_ni', 'SHA'),
  structuredEcx(2, 'umip'),
  structuredEcx(3, 'pku', 'PKU'),
  structuredEcx(4, 'ospke'),
  noStructuredEcx(5, 'waitpkg', 'WAITPKG'),
  noStructuredEcx(22, 'rdpid', 'RDPID'),
  on(7, 'edx')(4, 'fsrm'),
  on(0x0d, 'eax')(1, 'xsavec', 'XSAVEC'),
  on(0x0d, 'eax')(0, 'xsaveopt', 'XSAVEOPT'),
  // XGETBV with ECX = 1 reads XCR0 AND XINUSE.
  off(0x0d, 'eax')(2, 'xgetbv1'),
  off(0x0d, 'eax')(3, 'xsaves', 'XSAVES'),
  extendedEcx(0, 'lahf_lm'),
  extendedEcx(8, '3dnowprefetch', 'PREFETCHW'),
  noExtendedEcx(5, 'abm', 'LZCNT'),
  noExtendedEcx(6, 'sse4a', 'SSE4A'),
  extendedEdx(11, 'syscall', 'SYSCALL'),
  extendedEdx(20, 'nx'),
  extendedEdx(27, 'rdtscp', 'RDTSCP'),
  extendedEdx(29, 'lm', 'X64'),
  on(0x8000_0007, 'edx')(8, 'constant_tsc'),
];

/** Parts of the instruction set that every x86-64 processor has and no bit announces. */
const BASELINE: readonly (keyof typeof CpuidFeature)[] = [
  'INTEL8086',
  'INTEL186',
  'INTEL286',
  'INTEL386',
  'INTEL486',
  'X64',
  'CPUID',
  'PAUSE',
  'MULTIBYTENOP',
];

const advertised = new Set<string>([
  ...BASELINE,
  ...FEATURES.filter((feature) => feature.advertised).flatMap((feature) => feature.iced),
]);

/** Whether the processor offers the instructions that iced-x86 files under this name (`CpuidFeature[n]`). */
export function isAdvertised(feature: keyof typeof CpuidFeature): boolean {
  return advertised.has(feature);
}

/** The flags line of /proc/cpuinfo. */
export function cpuinfoFlags(pku: boolean): string {
  return FEATURES.filter((f) => f.advertised && f.name !== 'osxsave' && (pku || !isPku(f)))
    .map((f) => f.name)
    .join(' ');
}

const isPku = (feature: Feature) => feature.name === 'pku' || feature.name === 'ospke';

function featureWord(leaf: number, register: Register, pku: boolean): number {
  let word = 0;
  for (const feature of FEATURES) {
    if (
      feature.leaf === leaf &&
      feature.register === register &&
      feature.advertised &&
      (pku || !isPku(feature))
    ) {
      word |= 1 << feature.bit;
    }
  }
  return word;
}

export const VENDOR = 'GenuineIntel';
export const BRAND = 'Europa emulated x86-64 processor with PKU';
/** Signature in leaf 1 EAX: family 6, model 2Ch, stepping 2. */
export const FAMILY = 6;
export const MODEL = 0x2c;
export const STEPPING = 2;
const HYPERVISOR = 'EuropaEuropa';

const MAX_LEAF = 0x16;
const MAX_EXTENDED_LEAF = 0x8000_0008;
const HYPERVISOR_LEAF = 0x4000_0000;

/** Bits of a physical and of a linear address. */
const PHYSICAL_BITS = 32;
const LINEAR_BITS = 48;

/** Caches of leaf 4: type (1 data, 2 instructions, 3 unified), level, ways, sets; lines of 64 bytes. */
const CACHES = [
  { type: 1, level: 1, ways: 8, sets: 64, shared: false },
  { type: 2, level: 1, ways: 8, sets: 64, shared: false },
  { type: 3, level: 2, ways: 16, sets: 1024, shared: false },
  { type: 3, level: 3, ways: 16, sets: 32768, shared: true },
];

/** Number of APIC id bits that tell the CPUs of the package apart. */
function apicBits(cpuCount: number): number {
  return cpuCount <= 1 ? 0 : 32 - Math.clz32(cpuCount - 1);
}

/** Four bytes of an ASCII string as a little-endian register. */
function text(value: string, at: number): number {
  let word = 0;
  for (let i = 3; i >= 0; i--) word = (word << 8) | (at + i < value.length ? value.charCodeAt(at + i) : 0);
  return word;
}

/**
 * Executes CPUID. Leaves above the greatest basic one answer as that one does, as on Intel processors.
 * @param leaf EAX, unsigned
 * @param subleaf ECX, unsigned
 */
export function cpuid(leaf: number, subleaf: number, context: CpuidContext): CpuidResult {
  leaf >>>= 0;
  const { cpuId, cpuCount, pku } = context;
  const result: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  if (leaf >>> 30 === 1 && leaf > HYPERVISOR_LEAF + 0xff) leaf = MAX_LEAF;
  else if (leaf >>> 30 === 0 && leaf > MAX_LEAF) leaf = MAX_LEAF;
  else if (leaf >>> 31 === 1 && leaf > MAX_EXTENDED_LEAF) leaf = MAX_LEAF;
  switch (leaf) {
    case 0:
      result.eax = MAX_LEAF;
      result.ebx = text(VENDOR, 0);
      result.edx = text(VENDOR, 4);
      result.ecx = text(VENDOR, 8);
      break;
    case 1:
      result.eax = ((MODEL >> 4) << 16) | (FAMILY << 8) | ((MODEL & 15) << 4) | STEPPING;
      // APIC id, number of logical processors, CLFLUSH line in units of 8 bytes.
      result.ebx = (cpuId << 24) | ((1 << apicBits(cpuCount)) << 16) | (8 << 8);
      result.ecx = featureWord(1, 'ecx', pku);
      result.edx = featureWord(1, 'edx', pku) | (cpuCount > 1 ? 1 << 28 : 0);
      break;
    case 2:
      // Descriptor FFh: ask leaf 4 instead.
      result.eax = 0xff01;
      break;
    case 4: {
      const cache = CACHES[subleaf];
      if (!cache) break;
      const sharing = cache.shared ? (1 << apicBits(cpuCount)) - 1 : 0;
      const cores = (1 << apicBits(cpuCount)) - 1;
      result.eax = cache.type | (cache.level << 5) | (1 << 8) | (sharing << 14) | (cores << 26);
      result.ebx = 63 | ((cache.ways - 1) << 22);
      result.ecx = cache.sets - 1;
      break;
    }
    case 7:
      if (subleaf !== 0) break;
      result.ebx = featureWord(7, 'ebx', pku);
      result.ecx = featureWord(7, 'ecx', pku);
      result.edx = featureWord(7, 'edx', pku);
      break;
    case 0x0b:
      // One thread a core, all cores in one package.
      result.edx = cpuId;
      result.ecx = subleaf & 0xff;
      if (subleaf === 0) {
        result.ebx = 1;
        result.ecx |= 1 << 8;
      } else if (subleaf === 1) {
        result.eax = apicBits(cpuCount);
        result.ebx = cpuCount;
        result.ecx |= 2 << 8;
      }
      break;
    case 0x0d:
      extendedState(subleaf, pku, result);
      break;
    case 0x15:
      // TSC frequency = ECX * EBX / EAX.
      result.eax = 1;
      result.ebx = 1;
      result.ecx = TSC_HZ;
      break;
    case 0x16:
      result.eax = result.ebx = TSC_HZ / 1e6;
      result.ecx = 100;
      break;
    case HYPERVISOR_LEAF:
      result.eax = HYPERVISOR_LEAF;
      result.ebx = text(HYPERVISOR, 0);
      result.ecx = text(HYPERVISOR, 4);
      result.edx = text(HYPERVISOR, 8);
      break;
    case 0x8000_0000:
      result.eax = MAX_EXTENDED_LEAF;
      break;
    case 0x8000_0001:
      result.ecx = featureWord(leaf, 'ecx', pku);
      result.edx = featureWord(leaf, 'edx', pku);
      break;
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004: {
      const at = (leaf - 0x8000_0002) * 16;
      result.eax = text(BRAND, at);
      result.ebx = text(BRAND, at + 4);
      result.ecx = text(BRAND, at + 8);
      result.edx = text(BRAND, at + 12);
      break;
    }
    case 0x8000_0006: {
      // L2: size in KiB, associativity code 8 (16 ways), line size.
      const l2 = CACHES[2];
      result.ecx = (((l2.ways * l2.sets * 64) >> 10) << 16) | (8 << 12) | 64;
      break;
    }
    case 0x8000_0007:
      result.edx = featureWord(leaf, 'edx', pku);
      break;
    case 0x8000_0008:
      result.eax = PHYSICAL_BITS | (LINEAR_BITS << 8);
      break;
  }
  return result;
}

/** Leaf 0Dh (SDM vol. 1, 13.2). */
function extendedState(subleaf: number, pku: boolean, result: CpuidResult): void {
  const xcr0 = pku ? XCR0 : XCR0 & ~(1 << PKRU_COMPONENT);
  if (subleaf === 0) {
    result.eax = xcr0;
    // Sizes of the standard format: for the components enabled now, and for all that there are.
    result.ebx = result.ecx = pku ? XSAVE_BYTES : 576;
  } else if (subleaf === 1) {
    result.eax = featureWord(0x0d, 'eax', pku);
    // Size of the compacted format with everything enabled; only defined with XSAVES or XSAVEC.
    result.ebx = pku ? 576 + 8 : 576;
  } else if (subleaf === PKRU_COMPONENT && pku) {
    result.eax = 8;
    result.ebx = PKRU_OFFSET;
  }
}

/** XGETBV (SDM vol. 2): XCR0; the caller raises #GP(0) for an ECX other than 0. */
export function xgetbv(pku: boolean): number {
  return pku ? XCR0 : XCR0 & ~(1 << PKRU_COMPONENT);
}
