/** Registers, a bit each; all lazy flags are one. */
export class RegisterSet {
  constructor(
    public gpr = 0,
    public xmm = 0,
    public flags = 0,
  ) {}

  copy(): RegisterSet {
    return new RegisterSet(this.gpr, this.xmm, this.flags);
  }

  /** @returns whether the set has grown */
  add({ gpr, xmm, flags }: RegisterSet): boolean {
    const grows = ((gpr & ~this.gpr) | (xmm & ~this.xmm) | (flags & ~this.flags)) !== 0;
    this.gpr |= gpr;
    this.xmm |= xmm;
    this.flags |= flags;
    return grows;
  }

  without({ gpr, xmm, flags }: RegisterSet): RegisterSet {
    return new RegisterSet(this.gpr & ~gpr, this.xmm & ~xmm, this.flags & ~flags);
  }

  intersect({ gpr, xmm, flags }: RegisterSet): RegisterSet {
    return new RegisterSet(this.gpr & gpr, this.xmm & xmm, this.flags & flags);
  }

  equals({ gpr, xmm, flags }: RegisterSet): boolean {
    return this.gpr === gpr && this.xmm === xmm && this.flags === flags;
  }
}

/** What the instructions of a basic block do with registers. */
export class RegisterUsage {
  /** Read before the block has written them. */
  readonly needed = new RegisterSet();
  /** Written in whole, on every way through the block. */
  readonly defined = new RegisterSet();
  /** Written at all. */
  readonly written = new RegisterSet();

  read(kind: 'gpr' | 'xmm' | 'flags', num: number): void {
    this.needed[kind] |= (1 << num) & ~this.defined[kind];
  }
}
