import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { dropFile, File, FileKind, filePath } from './description.js';
import { AT_FDCWD, PATH_MAX } from './flags.js';
import { filesOf, readUser } from './links.js';
import type { Node } from './nodes.js';
import { cwd, getFile } from './table.js';
import { root } from './trees.js';

/**
 * Names of files. Inside the kernel a path is a byte string: one character (0–255) for each byte.
 *
 * Paths of the host go to the host as they are, so that it resolves symbolic links and "..". Only /proc, /sys and /dev are
 * looked up here, by the path's own components; a symbolic link of the host's that leads there shows the host's files.
 */
export type Place =
  | { readonly at: 'host'; readonly path: string }
  | { readonly at: 'node'; readonly path: string; readonly node: Node }
  /** What /proc/self/fd/N leads to. */
  | { readonly at: 'descriptor'; readonly path: string; readonly fd: number };

/** Symbolic links followed in one look-up (MAXSYMLINKS). */
const MOST_LINKS = 40;

/** Reads a path argument (getname in fs/namei.c): a byte string, or −EFAULT, −ENAMETOOLONG; the empty path is the caller's. */
export function readPath(k: KernelCpu, address: number): string | number {
  let path = '';
  const bytes = new Uint8Array(256);
  while (path.length < PATH_MAX) {
    const from = address + path.length;
    // Up to the next multiple of 256, which no page boundary interrupts.
    const part = bytes.subarray(0, 256 - (from % 256));
    const count = readUser(k, from, part);
    const end = part.subarray(0, count).indexOf(0);
    path += String.fromCharCode(...part.subarray(0, end < 0 ? count : end));
    if (end >= 0) return path.length < PATH_MAX ? path : -Errno.ENAMETOOLONG;
    if (count < part.length) return -Errno.EFAULT;
  }
  return -Errno.ENAMETOOLONG;
}

/** Where `path`, relative to `dirfd`, is looked up from: an absolute path, or −errno. */
function absolute(k: KernelCpu, dirfd: number, path: string): string | number {
  if (path.startsWith('/')) return path;
  const base = directoryPath(k, dirfd);
  if (typeof base === 'number') return base;
  return base === '/' ? `/${path}` : `${base}/${path}`;
}

/** Path of the directory that a dirfd argument stands for. */
export function directoryPath(k: KernelCpu, dirfd: number): string | number {
  const { memory } = k;
  if (dirfd === AT_FDCWD) return cwd(memory, filesOf(k));
  const file = getFile(memory, filesOf(k), dirfd);
  if (file === 0) return -Errno.EBADF;
  const kind = memory.load32(file + File.kind);
  const path =
    kind === FileKind.directory || kind === FileKind.path ? filePath(memory, file) : -Errno.ENOTDIR;
  dropFile(memory, file);
  return path;
}

/**
 * Finds where a path leads.
 * @param dirfd directory descriptor or AT_FDCWD
 * @param follow whether a symbolic link in the last place is followed
 * @returns the place (a host path need not exist), or −errno
 */
export function lookup(k: KernelCpu, dirfd: number, path: string, follow: boolean): Place | number {
  if (path === '') return -Errno.ENOENT;
  const full = absolute(k, dirfd, path);
  return typeof full === 'number' ? full : lookupAbsolute(k, full, follow);
}

export function lookupAbsolute(k: KernelCpu, full: string, follow: boolean): Place | number {
  for (let links = 0; links <= MOST_LINKS; links++) {
    const parts = full.split('/').filter((part) => part !== '' && part !== '.');
    const mustBeDirectory = /\/\.?$/.test(full);
    const step = walk(k, parts, follow || mustBeDirectory);
    if (step === null) return { at: 'host', path: full };
    if (typeof step === 'number') return step;
    if (typeof step === 'string') {
      full = step;
      continue;
    }
    if (step.at === 'host' && mustBeDirectory) return { at: 'host', path: `${step.path}/` };
    if (step.at === 'node' && mustBeDirectory && step.node.type !== 'directory') return -Errno.ENOTDIR;
    return step;
  }
  return -Errno.ELOOP;
}

/**
 * Walks through the kernel's trees.
 * @returns where the path ends; the path to go on with, if a link was followed; null if the host has the place; −errno
 */
function walk(k: KernelCpu, parts: readonly string[], follow: boolean): Place | string | number | null {
  const names: string[] = [];
  const nodes: Node[] = [];
  // Directories of the host that the path has entered; what ".." leads to is decided by names there.
  let hostDepth = 0;
  // Where the part of the path begins that comes after one of the kernel's trees was left by "..".
  let from = 0;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (hostDepth > 0) {
      hostDepth += part === '..' ? -1 : 1;
      continue;
    }
    if (part === '..') {
      names.pop();
      if (nodes.pop() && nodes.length === 0) from = i + 1;
      continue;
    }
    let node: Node | null;
    if (nodes.length === 0) {
      node = root(part);
      if (node === null) {
        hostDepth = 1;
        continue;
      }
    } else {
      const parent = nodes[nodes.length - 1];
      if (parent.type !== 'directory') return -Errno.ENOTDIR;
      node = parent.find(k, part);
      if (node === null) return -Errno.ENOENT;
    }
    const rest = parts.slice(i + 1);
    if (node.type === 'host') return { at: 'host', path: [node.path, ...rest].join('/') };
    if (node.type === 'link' && (rest.length > 0 || follow)) {
      const target = node.target(k);
      const path = `/${[...names, part].join('/')}`;
      if (rest.length === 0 && node.descriptor !== undefined)
        return { at: 'descriptor', path, fd: node.descriptor };
      return [target.startsWith('/') ? target : `/${[...names, target].join('/')}`, ...rest].join('/');
    }
    names.push(part);
    nodes.push(node);
  }
  if (nodes.length === 0) return from === 0 ? null : { at: 'host', path: `/${parts.slice(from).join('/')}` };
  return { at: 'node', path: `/${names.join('/')}`, node: nodes[nodes.length - 1] };
}
