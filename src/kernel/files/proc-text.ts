import { cpuid, cpuinfoFlags, TSC_HZ } from '../../cpu/cpuid.js';

/** Texts of /proc that depend on the machine alone (fs/proc, arch/x86/kernel/cpu/proc.c), in the layout programs parse. */

/** /proc/cpuinfo. */
export function cpuinfo(cpuCount: number, pku: boolean): string {
  const context = { cpuId: 0, cpuCount, pku };
  const identity = cpuid(0, 0, context);
  const { eax } = cpuid(1, 0, context);
  const brand = [0x8000_0002, 0x8000_0003, 0x8000_0004].map((leaf) => {
    const { eax, ebx, ecx, edx } = cpuid(leaf, 0, context);
    return registerText(eax, ebx, ecx, edx);
  });
  const sizes = cpuid(0x8000_0008, 0, context).eax;
  let text = '';
  for (let id = 0; id < cpuCount; id++) {
    const lines: [string, string | number][] = [
      ['processor\t', id],
      ['vendor_id\t', registerText(identity.ebx, identity.edx, identity.ecx)],
      ['cpu family\t', (eax >>> 8) & 15],
      ['model\t\t', ((eax >>> 12) & 0xf0) | ((eax >>> 4) & 15)],
      ['model name\t', brand.join('').replaceAll('\0', '').trim()],
      ['stepping\t', eax & 15],
      ['cpu MHz\t\t', (TSC_HZ / 1e6).toFixed(3)],
      ['physical id\t', 0],
      ['siblings\t', cpuCount],
      ['core id\t\t', id],
      ['cpu cores\t', cpuCount],
      ['apicid\t\t', id],
      ['initial apicid\t', id],
      ['fpu\t\t', 'yes'],
      ['fpu_exception\t', 'yes'],
      ['cpuid level\t', identity.eax],
      ['wp\t\t', 'yes'],
      ['flags\t\t', cpuinfoFlags(pku)],
      ['bugs\t\t', ''],
      ['bogomips\t', ((2 * TSC_HZ) / 1e6).toFixed(2)],
      ['clflush size\t', 64],
      ['cache_alignment\t', 64],
      ['address sizes\t', `${sizes & 0xff} bits physical, ${(sizes >>> 8) & 0xff} bits virtual`],
      ['power management', ''],
    ];
    text += lines.map(([name, value]) => `${name}:${value === '' ? '' : ` ${value}`}\n`).join('') + '\n';
  }
  return text;
}

function registerText(...registers: number[]): string {
  return registers
    .map((r) => String.fromCharCode(r & 255, (r >>> 8) & 255, (r >>> 16) & 255, r >>> 24))
    .join('');
}

/** /proc/meminfo, from bytes. */
export function meminfo(total: number, free: number): string {
  const lines: [string, number][] = [
    ['MemTotal', total],
    ['MemFree', free],
    ['MemAvailable', free],
    ['Buffers', 0],
    ['Cached', 0],
    ['SwapCached', 0],
    ['Active', total - free],
    ['Inactive', 0],
    ['SwapTotal', 0],
    ['SwapFree', 0],
    ['Dirty', 0],
    ['Writeback', 0],
    ['AnonPages', total - free],
    ['Mapped', 0],
    ['Shmem', 0],
    ['Slab', 0],
    ['CommitLimit', total],
    ['Committed_AS', total - free],
  ];
  return lines.map(([name, bytes]) => `${(name + ':').padEnd(16)}${kib(bytes, 8)}\n`).join('');
}

export function kib(bytes: number, width: number): string {
  return `${String(Math.floor(bytes / 1024)).padStart(width)} kB`;
}

/** What /proc/stat and /proc/loadavg report of the machine. */
export interface MachineLoad {
  readonly cpuCount: number;
  /** Seconds since boot. */
  readonly uptime: number;
  /** Seconds since 1970 at boot. */
  readonly bootTime: number;
  readonly contextSwitches: number;
  readonly tasks: number;
  readonly running: number;
  readonly lastPid: number;
}

/** /proc/stat: the CPUs' time is counted as user time. */
export function machineStat(load: MachineLoad): string {
  const ticks = Math.floor(load.uptime * 100);
  const row = (name: string, user: number) => `${name} ${user} 0 0 0 0 0 0 0 0 0\n`;
  let text = row('cpu ', ticks * load.cpuCount);
  for (let id = 0; id < load.cpuCount; id++) text += row(`cpu${id}`, ticks);
  return (
    text +
    `intr 0\nctxt ${load.contextSwitches}\nbtime ${Math.floor(load.bootTime)}\nprocesses ${load.tasks}\n` +
    `procs_running ${load.running}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n`
  );
}

/** /proc/uptime. */
export function uptime(load: MachineLoad): string {
  return `${load.uptime.toFixed(2)} 0.00\n`;
}

/** /proc/loadavg. */
export function loadAverage(load: MachineLoad): string {
  return `0.00 0.00 0.00 ${load.running}/${load.tasks} ${load.lastPid}\n`;
}

/** A list of CPU numbers as /sys prints it: "0" or "0-3". */
export function cpuList(cpuCount: number): string {
  return cpuCount === 1 ? '0\n' : `0-${cpuCount - 1}\n`;
}

/** One line of /proc/self/maps. */
export interface MapsLine {
  readonly start: number;
  readonly end: number;
  /** PROT_ bits. */
  readonly prot: number;
  readonly shared: boolean;
  /** Bytes; 0 without a file. */
  readonly offset: number;
  readonly device: string;
  readonly inode: bigint | number;
  /** File or "[heap]", "[stack]" …; empty for anonymous memory. */
  readonly name: string;
}

/** show_map_vma in fs/proc/task_mmu.c; the name starts at column 73. */
export function mapsLine(m: MapsLine): string {
  const address = (value: number) => value.toString(16).padStart(8, '0');
  const flags =
    (m.prot & 1 ? 'r' : '-') + (m.prot & 2 ? 'w' : '-') + (m.prot & 4 ? 'x' : '-') + (m.shared ? 's' : 'p');
  const head = `${address(m.start)}-${address(m.end)} ${flags} ${address(m.offset)} ${m.device} ${m.inode} `;
  return m.name === '' ? `${head}\n` : `${head.padEnd(73)}${m.name}\n`;
}

/** What /proc/self/smaps says of a mapping besides its maps line; sizes in bytes. */
export interface SmapsFigures {
  readonly size: number;
  readonly resident: number;
  readonly dirty: number;
  readonly anonymous: boolean;
  readonly shared: boolean;
  readonly protectionKey: number;
  /** Whether the kernel offers protection keys (the line is there only then). */
  readonly pku: boolean;
  readonly vmFlags: string;
}

/** The lines after the maps line (show_smap in fs/proc/task_mmu.c). */
export function smapsLines(f: SmapsFigures): string {
  const clean = f.resident - f.dirty;
  const rows: [string, number][] = [
    ['Size', f.size],
    ['KernelPageSize', 4096],
    ['MMUPageSize', 4096],
    ['Rss', f.resident],
    ['Pss', f.resident],
    ['Shared_Clean', f.shared ? clean : 0],
    ['Shared_Dirty', f.shared ? f.dirty : 0],
    ['Private_Clean', f.shared ? 0 : clean],
    ['Private_Dirty', f.shared ? 0 : f.dirty],
    ['Referenced', f.resident],
    ['Anonymous', f.anonymous ? f.resident : 0],
    ['LazyFree', 0],
    ['AnonHugePages', 0],
    ['ShmemPmdMapped', 0],
    ['FilePmdMapped', 0],
    ['Shared_Hugetlb', 0],
    ['Private_Hugetlb', 0],
    ['Swap', 0],
    ['SwapPss', 0],
    ['Locked', 0],
  ];
  let text = rows.map(([name, bytes]) => `${(name + ':').padEnd(16)}${kib(bytes, 8)}\n`).join('');
  text += 'THPeligible:    0\n';
  if (f.pku) text += `ProtectionKey:  ${String(f.protectionKey).padStart(8)}\n`;
  return `${text}VmFlags: ${f.vmFlags}\n`;
}
