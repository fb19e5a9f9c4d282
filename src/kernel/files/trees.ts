import { existsSync } from 'node:fs';
import { cpuCountOf } from './links.js';
import { Device } from './devices.js';
import { type DirectoryNode, directory, link, type Node, text } from './nodes.js';
import { procTree } from './proc.js';
import { cpuList } from './proc-text.js';

const cpuDirectory: DirectoryNode = {
  type: 'directory',
  names: (k) => [
    ...Array.from({ length: cpuCountOf(k) }, (_, id) => `cpu${id}`),
    'kernel_max',
    'offline',
    'online',
    'possible',
    'present',
  ],
  find: (k, name) => {
    if (name === 'online' || name === 'possible' || name === 'present')
      return text((k) => cpuList(cpuCountOf(k)));
    if (name === 'offline') return text(() => '\n');
    if (name === 'kernel_max') return text((k) => `${cpuCountOf(k) - 1}\n`);
    const id = /^cpu(0|[1-9]\d*)$/.exec(name);
    if (id === null || Number(id[1]) >= cpuCountOf(k)) return null;
    return directory({
      topology: directory({
        core_id: text(() => `${id[1]}\n`),
        physical_package_id: text(() => '0\n'),
        thread_siblings_list: text(() => `${id[1]}\n`),
        core_siblings_list: text((k) => cpuList(cpuCountOf(k))),
      }),
    });
  },
};

const sysTree = directory({
  devices: directory({ system: directory({ cpu: cpuDirectory }) }),
  kernel: directory({
    mm: directory({
      transparent_hugepage: directory({
        enabled: text(() => 'always madvise [never]\n'),
        hpage_pmd_size: text(() => '2097152\n'),
      }),
    }),
  }),
});

const devTree = directory({
  ...Object.fromEntries(
    Object.entries(Device).map(([name, device]): [string, Node] => [name, { type: 'device', device }]),
  ),
  fd: link(() => '/proc/self/fd'),
  stdin: link(() => '/proc/self/fd/0'),
  stdout: link(() => '/proc/self/fd/1'),
  stderr: link(() => '/proc/self/fd/2'),
  // POSIX shared memory is files of the host there.
  ...(existsSync('/dev/shm') ? { shm: { type: 'host', path: '/dev/shm' } satisfies Node } : {}),
});

/** The tree whose name is the first component of an absolute path, or null if the host has that part. */
export function root(name: string | undefined): Node | null {
  switch (name) {
    case 'proc':
      return procTree;
    case 'sys':
      return sysTree;
    case 'dev':
      return devTree;
    default:
      return null;
  }
}
