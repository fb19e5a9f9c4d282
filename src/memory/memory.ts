/** Bytes of a page frame and of a wasm-side page-aligned area. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;

/**
 * The machine's memory: one shared WebAssembly.Memory seen through typed views.
 *
 * A *pointer* is a byte offset into it (0 is null). Guest physical addresses are the same offsets.
 * All views are of the whole buffer, which never grows, so they stay valid for the machine's life.
 */
export class Memory {
  readonly buffer: SharedArrayBuffer;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  readonly i64: BigInt64Array;
  readonly u64: BigUint64Array;

  constructor(readonly wasm: WebAssembly.Memory) {
    this.buffer = wasm.buffer as unknown as SharedArrayBuffer;
    this.u8 = new Uint8Array(this.buffer);
    this.u16 = new Uint16Array(this.buffer);
    this.i32 = new Int32Array(this.buffer);
    this.u32 = new Uint32Array(this.buffer);
    this.f64 = new Float64Array(this.buffer);
    this.i64 = new BigInt64Array(this.buffer);
    this.u64 = new BigUint64Array(this.buffer);
  }

  /** A memory of `bytes` (a multiple of 64 KiB); all of it is reserved, none of it is resident until touched. */
  static create(bytes: number): Memory {
    const pages = bytes / 65536;
    return new Memory(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }));
  }

  /** Reads 64 bits as a number: exact below 2^53, otherwise rounded (still beyond every user address). */
  loadNumber(pointer: number): number {
    return this.u32[pointer >>> 2] + this.u32[(pointer >>> 2) + 1] * 0x1_0000_0000;
  }

  /**
   * Reads 64 bits as a signed number. So is every canonical address exact, those of the kernel's half being above −2^47; what is
   * rounded is not canonical, before and after.
   */
  loadAddress(pointer: number): number {
    return this.u32[pointer >>> 2] + this.i32[(pointer >>> 2) + 1] * 0x1_0000_0000;
  }

  /** Reads 64 bits as `loadAddress` does, or as a signed bigint where a number would be rounded. */
  loadExact(pointer: number): number | bigint {
    const value = this.loadAddress(pointer);
    return Number.isSafeInteger(value) ? value : this.i64[pointer >>> 3];
  }

  /** Writes what `loadExact` reads. */
  storeExact(pointer: number, value: number | bigint): void {
    if (typeof value === 'number') this.storeNumber(pointer, value);
    else this.i64[pointer >>> 3] = value;
  }

  /** Writes a safe integer (negative ones as two's complement) as 64 bits. */
  storeNumber(pointer: number, value: number): void {
    this.i32[pointer >>> 2] = value | 0 || value % 0x1_0000_0000;
    this.i32[(pointer >>> 2) + 1] = Math.floor(value / 0x1_0000_0000);
  }

  copy64(to: number, from: number): void {
    this.i32[to >>> 2] = this.i32[from >>> 2];
    this.i32[(to >>> 2) + 1] = this.i32[(from >>> 2) + 1];
  }

  load32(pointer: number): number {
    return this.i32[pointer >>> 2];
  }

  loadU32(pointer: number): number {
    return this.u32[pointer >>> 2];
  }

  store32(pointer: number, value: number): void {
    this.i32[pointer >>> 2] = value;
  }

  /** Adds to a counter kept as a double; only its owner writes it. */
  count(pointer: number, more = 1): void {
    this.f64[pointer >>> 3] += more;
  }
}
