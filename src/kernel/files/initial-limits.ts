/** RLIMIT_* (include/uapi/asm-generic/resource.h). */
export const Limit = {
  CPU: 0,
  FSIZE: 1,
  DATA: 2,
  STACK: 3,
  CORE: 4,
  RSS: 5,
  NPROC: 6,
  NOFILE: 7,
  MEMLOCK: 8,
  AS: 9,
  LOCKS: 10,
  SIGPENDING: 11,
  MSGQUEUE: 12,
  NICE: 13,
  RTPRIO: 14,
  RTTIME: 15,
} as const;

/** Soft and hard limit of each resource, alternating, as a new process has them. */
export function initialLimits(descriptors: number): number[] {
  const limits = new Array<number>(32).fill(Infinity);
  const set = (limit: number, soft: number, hard: number) => {
    limits[2 * limit] = soft;
    limits[2 * limit + 1] = hard;
  };
  set(Limit.STACK, 8 << 20, Infinity);
  set(Limit.CORE, 0, Infinity);
  set(Limit.NPROC, 32768, 32768);
  set(Limit.NOFILE, 1024, descriptors);
  set(Limit.MEMLOCK, 8 << 20, 8 << 20);
  set(Limit.SIGPENDING, 4096, 4096);
  set(Limit.MSGQUEUE, 819200, 819200);
  set(Limit.NICE, 0, 0);
  set(Limit.RTPRIO, 0, 0);
  return limits;
}
