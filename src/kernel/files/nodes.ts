import type { KernelCpu } from '../kernel-cpu.js';

/** The kernel's own files: the trees /proc, /sys and /dev. Nodes are made when a path is looked up and hold no state. */
export type Node = DirectoryNode | TextNode | LinkNode | DeviceNode | HostNode;

export interface DirectoryNode {
  readonly type: 'directory';
  names(k: KernelCpu): string[];
  /** The entry of that name, or null. */
  find(k: KernelCpu, name: string): Node | null;
}

/** A read-only file whose contents are made when it is read. Texts are byte strings: one character a byte. */
export interface TextNode {
  readonly type: 'text';
  text(k: KernelCpu): string;
  /** Permission bits; 0444 unless given. */
  readonly mode?: number;
  /** Present for files that may be written: takes what was written and answers 0 or −errno. */
  write?(k: KernelCpu, text: string): number;
}

export interface LinkNode {
  readonly type: 'link';
  target(k: KernelCpu): string;
  /** /proc/self/fd: following the link leads to the open file itself, not to what its name says. */
  readonly descriptor?: number;
}

export interface DeviceNode {
  readonly type: 'device';
  /** A Device. */
  readonly device: number;
}

/** A place where the host's files show through. */
export interface HostNode {
  readonly type: 'host';
  readonly path: string;
}

/** A directory of fixed entries. */
export function directory(entries: Readonly<Record<string, Node>>): DirectoryNode {
  const map = new Map(Object.entries(entries));
  return {
    type: 'directory',
    names: () => [...map.keys()],
    find: (_k, name) => map.get(name) ?? null,
  };
}

export function text(make: (k: KernelCpu) => string): TextNode {
  return { type: 'text', text: make };
}

export function link(target: (k: KernelCpu) => string): LinkNode {
  return { type: 'link', target };
}
