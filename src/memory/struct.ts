/**
 * Layouts of the structs that live in shared memory.
 *
 * A struct is declared once, as a list of fields; TypeScript views and emitted wasm both take their byte offsets
 * from the declaration, so no offset is ever written down a second time.
 */

const SIZES = { u8: 1, i8: 1, u16: 2, i32: 4, u32: 4, u64: 8, f64: 8, v128: 16 } as const;

/** The type of one field; its alignment is its own size. */
export type FieldType = keyof typeof SIZES;

/** A field: a scalar, `[type, count]` for an array, or `{ bytes, align }` for an opaque area. */
export type Field =
  | FieldType
  | readonly [FieldType, number]
  | { readonly bytes: number; readonly align: number };

/** Byte offset of each field, plus `size`: the whole struct's size in bytes, a multiple of its alignment. */
export type Layout<F extends Record<string, Field>> = { readonly [K in keyof F]: number } & {
  readonly size: number;
};

/** Lays the fields out in the order given, each at its natural alignment (the C rules of the x86-64 psABI). */
export function struct<const F extends Record<string, Field>>(fields: F): Layout<F> {
  const offsets: Record<string, number> = {};
  let offset = 0;
  let structAlign = 1;
  for (const [name, field] of Object.entries(fields) as [string, Field][]) {
    let align: number;
    let bytes: number;
    if (typeof field === 'string') {
      align = bytes = SIZES[field];
    } else if ('bytes' in field) {
      align = field.align;
      bytes = field.bytes;
    } else {
      align = SIZES[field[0]];
      bytes = align * field[1];
    }
    offset = alignUp(offset, align);
    offsets[name] = offset;
    offset += bytes;
    structAlign = Math.max(structAlign, align);
  }
  offsets['size'] = alignUp(offset, structAlign);
  return offsets as Layout<F>;
}

/** The least multiple of `align` (a power of two or not) that is at least `value`. */
export function alignUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}
