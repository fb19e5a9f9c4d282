/**
 * Accesses of a basic block that go to one page: the first looks the page up in the TLB for all of them.
 *
 * Compiled code reaches a structure's fields, a stack frame or neighbouring elements by one register and constant distances. An access
 * whose address is a distance from that of another is told apart from it by the distance alone, so one look-up for the range that all
 * of them span will do, if the range lies in one page. A draft of the region records the accesses; what was found is used when
 * the region is emitted for good (src/translate/memory-emitter.ts).
 */

/** An address as far as it is known: so many bytes behind a value that has a name. */
export interface Place {
  readonly name: string;
  readonly distance: number;
}

/** An access that a draft has recorded. */
export interface RecordedAccess {
  readonly place: Place | null;
  /** Bytes. */
  readonly size: number;
  readonly write: boolean;
}

/** At least two accesses of a block. */
export interface AccessGroup {
  readonly name: string;
  /** What they span: distances of the first byte, and behind the last. */
  low: number;
  high: number;
  /** Whether one of them writes: the page must then be writable. */
  write: boolean;
  /** Positions of its accesses among those of the block. */
  readonly members: number[];
}

/**
 * Bytes that a group may span. The more, the more often a page ends within, and then each access is a call. Above a page the look-up
 * would be wrong.
 */
const MOST_SPAN = 512;

/** The group of each access of a block; null for those that stay alone. */
export function groupAccesses(accesses: readonly RecordedAccess[]): (AccessGroup | null)[] {
  const groups: (AccessGroup | null)[] = accesses.map(() => null);
  const open = new Map<string, AccessGroup>();
  accesses.forEach(({ place, size, write }, i) => {
    if (!place) return;
    const { name, distance } = place;
    let group = open.get(name);
    const low = Math.min(group?.low ?? distance, distance);
    const high = Math.max(group?.high ?? 0, distance + size);
    if (group && high - low <= MOST_SPAN) {
      group.low = low;
      group.high = high;
      group.write ||= write;
      group.members.push(i);
    } else {
      group = { name, low: distance, high: distance + size, write, members: [i] };
      open.set(name, group);
    }
    groups[i] = group;
  });
  return groups.map((group) => (group && group.members.length > 1 ? group : null));
}

/** A general-purpose register's value: so much more than one that has a number. */
interface Value {
  readonly root: number;
  readonly offset: number;
}

/** Beyond this the sum of a distance and another might not be exact. */
const MOST_DISTANCE = 2 ** 40;

/** What is known of the general-purpose registers' values within a basic block. */
export class RegisterValues {
  private readonly values: (Value | undefined)[] = [];
  private roots = 0;
  /** Counts what makes earlier look-ups useless. */
  private epoch = 0;

  /** Register `num` has a value that nothing is known of. */
  forget(num: number): void {
    this.values[num] = { root: this.roots++, offset: 0 };
  }

  /** No address from here on has a name that it had before. */
  beginEpoch(): void {
    this.epoch++;
  }

  /** What `num` will hold, if that is register `from` plus a distance; for `set` when the instruction is complete. */
  sum(from: number, distance: number): Value {
    const { root, offset } = this.value(from);
    const sum = offset + distance;
    return Math.abs(sum) < MOST_DISTANCE ? { root, offset: sum } : { root: this.roots++, offset: 0 };
  }

  set(num: number, value: Value): void {
    this.values[num] = value;
  }

  /** Name and distance of base + index * scale + displacement. @param base and `index` are -1 if there is none */
  place(base: number, index: number, scale: number, displacement: number, segment: string): Place | null {
    let name = `${this.epoch} ${segment}`;
    let distance = displacement;
    if (base >= 0) {
      const { root, offset } = this.value(base);
      name += `+${root}`;
      distance += offset;
    }
    if (index >= 0) {
      const { root, offset } = this.value(index);
      name += `+${root}*${scale}`;
      distance += offset * scale;
    }
    return Math.abs(distance) < MOST_DISTANCE ? { name, distance } : null;
  }

  private value(num: number): Value {
    const known = this.values[num];
    if (known) return known;
    this.forget(num);
    return this.values[num]!;
  }
}
