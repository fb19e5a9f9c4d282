/** Bytes that are told apart: accesses to different granules never conflict. */
const GRANULE = 8;
const SLOTS = 1 << 16;

const SHARED = -1;

/**
 * Which memory threads share, found by watching: a granule that one thread alone touches, or that nobody writes, needs no switch
 * point. A machine learns it in a few runs before the first that counts, with the same schedules for everybody, so that the
 * switch points of a run depend on nothing but its own seed. Within a run a granule counts from the second thread's access on.
 */
export class Visibility {
  private readonly keys = new Float64Array(SLOTS);
  /** Shared, or thread · 2 + (1 if it has written), or −2 − … for granules that several have read; 0 in unused slots. */
  private readonly states = new Int32Array(SLOTS);
  private readonly runs = new Int32Array(SLOTS);
  private readonly shared = new Set<number>();
  private run = 1;
  private used = 0;
  learning = false;

  /** Forgets what the last run has touched. */
  begin(): void {
    this.run++;
    this.used = 0;
  }

  get sharedCount(): number {
    return this.shared.size;
  }

  /** Notes an access. @returns whether other threads can see it, or it sees what others do */
  touch(address: number, size: number, thread: number, writes: boolean): boolean {
    const first = Math.floor(address / GRANULE);
    const last = Math.floor((address + size - 1) / GRANULE);
    let visible = this.touchOne(first, thread, writes);
    for (let granule = first + 1; granule <= last; granule++) {
      if (this.touchOne(granule, thread, writes)) visible = true;
    }
    return visible;
  }

  private touchOne(granule: number, thread: number, writes: boolean): boolean {
    const slot = this.slot(granule);
    // Without room nothing is known, and everything is visible.
    if (slot < 0) return true;
    const state = this.states[slot];
    const mine = 2 * thread + 2;
    if (this.runs[slot] !== this.run) {
      this.keys[slot] = granule;
      this.runs[slot] = this.run;
      this.used++;
      if (this.shared.has(granule)) {
        this.states[slot] = SHARED;
        return true;
      }
      this.states[slot] = mine | (writes ? 1 : 0);
      return false;
    }
    if (state === SHARED) return true;
    if (state >> 1 === mine >> 1) {
      if (writes) this.states[slot] = mine | 1;
      return false;
    }
    const readByMany = state === -2;
    if (!writes && (readByMany || (state & 1) === 0)) {
      this.states[slot] = -2;
      return false;
    }
    this.states[slot] = SHARED;
    if (this.learning) this.shared.add(granule);
    return true;
  }

  private slot(granule: number): number {
    if (this.used > SLOTS / 2) return -1;
    let slot = Math.imul(granule | 0, 0x9e3779b1) >>> 16;
    while (this.runs[slot] === this.run && this.keys[slot] !== granule) slot = (slot + 1) & (SLOTS - 1);
    return slot;
  }
}
