import { Errno } from '../errno.js';
import type { KernelCpu } from '../kernel-cpu.js';
import { randomBytes } from '../random.js';
import { Poll } from './flags.js';
import { makeDevice } from './stat.js';
import { bounce, type UserBuffer } from './user-buffer.js';

/** The devices of /dev that the kernel emulates: mem(4), random(4). /dev/tty is in console.ts. */
export const Device = { null: 1, zero: 2, full: 3, random: 4, urandom: 5, tty: 6 } as const;

/** st_rdev of a device (Documentation/admin-guide/devices.txt). */
export function deviceNumber(device: number): bigint {
  const minors: Record<number, number> = {
    [Device.null]: 3,
    [Device.zero]: 5,
    [Device.full]: 7,
    [Device.random]: 8,
    [Device.urandom]: 9,
  };
  return device === Device.tty ? makeDevice(5, 0) : makeDevice(1, minors[device]);
}

export function readDevice(k: KernelCpu, device: number, to: UserBuffer): number {
  if (device === Device.null) return 0;
  const random = device === Device.random || device === Device.urandom;
  let done = 0;
  while (to.remaining > 0) {
    const buffer = bounce(k.memory, to.remaining);
    if (random) randomBytes(k.memory, buffer);
    else buffer.fill(0);
    const copied = to.push(buffer);
    done += copied;
    if (copied < buffer.length) return done || -Errno.EFAULT;
  }
  return done;
}

export function writeDevice(k: KernelCpu, device: number, from: UserBuffer): number {
  if (device === Device.full) return from.remaining === 0 ? 0 : -Errno.ENOSPC;
  // /dev/null never looks at the data; the random devices must.
  if (device === Device.null || device === Device.zero) return from.remaining;
  let done = 0;
  while (from.remaining > 0) {
    const buffer = bounce(k.memory, from.remaining);
    const taken = from.pull(buffer);
    done += taken;
    if (taken < buffer.length) return done || -Errno.EFAULT;
  }
  return done;
}

export const DEVICE_POLL = Poll.IN | Poll.RDNORM | Poll.OUT | Poll.WRNORM;
