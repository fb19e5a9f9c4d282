import { Code } from '../../wasm/code.js';
import { Atomic, Op, Type } from '../../wasm/opcodes.js';
import { Form, FormTable, HASH_FACTOR, HASH_SHIFT, KEY_OFFSET, Read, TrieEntry } from './form-layout.js';
import { ThreadedBlock, ThreadedInsn } from './layout.js';

/** Why `write` came to an end. */
export const Written = {
  /** The last instruction ends the block. */
  ended: 0,
  /** The block has as many as were wanted. */
  full: 1,
  /** The next instruction has no form in the table, or is not all in the page. */
  unknown: 2,
  /** The next instruction's bytes are not noted as code. Its length is in the bits from WRITTEN_LENGTH on. */
  unmarked: 3,
} as const;

export const WRITTEN_LENGTH = 8;

/** Bytes of code that a bit of Frame.codeMask stands for, as a logarithm. */
const GRANULE_SHIFT = 7;

/**
 * write(block, pointer, room, mask, most, table) -> Written: appends instructions to a ThreadedBlock as long as their forms are in the table.
 * `pointer` is that of the first one's bytes, of which `room` are left in the page; `mask` is the pointer of its frame's codeMask. The
 * block's `ip`, `count` and `length` say how far it has come, and are kept; its `targets` becomes 1 if there is to be room for some.
 */
export function writeBody(): Uint8Array {
  const [block, pointer, room, mask, most, table] = [0, 1, 2, 3, 4, 5];
  const c = new Code(6);
  const at = c.local(Type.i32);
  const count = c.local(Type.i32);
  const node = c.local(Type.i32);
  const index = c.local(Type.i32);
  const key = c.local(Type.i32);
  const slot = c.local(Type.i32);
  const entry = c.local(Type.i32);
  const found = c.local(Type.i32);
  const form = c.local(Type.i32);
  const length = c.local(Type.i32);
  const bits = c.local(Type.i32);
  const ip = c.local(Type.i64);
  const next = c.local(Type.i64);

  c.get(block).mem(Op.i32_load, ThreadedBlock.count).tee(count);
  c.i32(ThreadedInsn.size).op(Op.i32_mul).get(block).op(Op.i32_add);
  c.i32(ThreadedBlock.size).op(Op.i32_add).set(at);
  c.get(block).mem(Op.i64_load, ThreadedBlock.ip);
  c.get(block).mem(Op.i64_load32_u, ThreadedBlock.length).op(Op.i64_add).set(ip);

  const insns = c.loop();
  c.get(count).get(most).op(Op.i32_ge_u).if().i32(Written.full).ret().end();

  // The form: from the root along the bytes.
  c.i32(0).tee(node).set(index);
  const bytes = c.loop();
  c.get(index).get(room).op(Op.i32_ge_u).if().i32(Written.unknown).ret().end();
  c.get(node).i32(8).op(Op.i32_shl);
  c.get(pointer).get(index).op(Op.i32_add).mem(Op.i32_load8_u);
  c.op(Op.i32_add).i32(KEY_OFFSET).op(Op.i32_add).tee(key);
  c.i32(HASH_FACTOR).op(Op.i32_mul).i32(HASH_SHIFT).op(Op.i32_shr_u).set(slot);
  const probe = c.loop();
  c.get(slot).get(table).mem(Op.i32_load, FormTable.mask).op(Op.i32_and);
  c.i32(Math.log2(TrieEntry.size)).op(Op.i32_shl).get(table).op(Op.i32_add).set(entry);
  c.get(entry)
    .mem(Op.i32_load, FormTable.size + TrieEntry.key)
    .tee(found)
    .op(Op.i32_eqz);
  c.if().i32(Written.unknown).ret().end();
  c.get(slot).i32(1).op(Op.i32_add).set(slot);
  c.get(found).get(key).op(Op.i32_ne).brIf(probe);
  c.end();
  c.get(index).i32(1).op(Op.i32_add).set(index);
  c.get(entry)
    .mem(Op.i32_load, FormTable.size + TrieEntry.value)
    .tee(node);
  c.i32(0).op(Op.i32_ge_s).brIf(bytes);
  c.end();
  c.get(node).i32(-1).op(Op.i32_xor).i32(Form.size).op(Op.i32_mul);
  c.get(table).mem(Op.i32_load, FormTable.forms).op(Op.i32_add).get(table).op(Op.i32_add).set(form);
  c.get(form).mem(Op.i32_load8_u, Form.length).tee(length).get(room).op(Op.i32_gt_u);
  c.if().i32(Written.unknown).ret().end();

  // Bytes that are not noted as code may change unnoticed: the caller notes them, and they are read again.
  const granule = (last: boolean) => {
    c.i32(1).get(pointer);
    if (last) c.get(length).op(Op.i32_add).i32(1).op(Op.i32_sub);
    c.i32(GRANULE_SHIFT).op(Op.i32_shr_u).op(Op.i32_shl);
  };
  granule(false);
  granule(true);
  c.op(Op.i32_or).tee(bits);
  c.get(mask).atomic(Atomic.i32_load, 2).get(bits).op(Op.i32_and).op(Op.i32_ne);
  c.if().get(length).i32(WRITTEN_LENGTH).op(Op.i32_shl).i32(Written.unmarked).op(Op.i32_or).ret().end();

  for (let i = 0; i < ThreadedInsn.size; i += 8)
    c.get(at)
      .get(form)
      .mem(Op.i64_load, Form.image + i)
      .mem(Op.i64_store, i);
  c.get(at).get(ip).mem(Op.i64_store, ThreadedInsn.ip);
  c.get(ip).get(length).op(Op.i64_extend_i32_u).op(Op.i64_add).set(next);

  const flag = (field: number) => c.get(form).mem(Op.i32_load8_u, field).if();
  /** Fills a constant in; with the next instruction's address added if the form's field `relative` says so. */
  const fill = (read: number, offset: number, relative: number, field: number) => {
    flag(read);
    c.get(at);
    c.get(pointer).get(form).mem(Op.i32_load8_u, offset).op(Op.i32_add);
    readConstant(c, form, read);
    c.i64(0).get(next).get(form).mem(Op.i32_load8_u, relative).op(Op.i32_eqz).op(Op.select);
    c.op(Op.i64_add).mem(Op.i64_store, field);
    c.end();
  };
  fill(Form.displacementRead, Form.displacementOffset, Form.relative, ThreadedInsn.disp);
  fill(Form.immediateRead, Form.immediateOffset, Form.branch, ThreadedInsn.value);

  c.get(block).get(count).i32(1).op(Op.i32_add).tee(count).mem(Op.i32_store, ThreadedBlock.count);
  c.get(block).get(block).mem(Op.i32_load, ThreadedBlock.length).get(length).op(Op.i32_add);
  c.mem(Op.i32_store, ThreadedBlock.length);
  flag(Form.ends);
  c.get(block).get(form).mem(Op.i32_load8_u, Form.indirect).mem(Op.i32_store, ThreadedBlock.targets);
  c.i32(Written.ended).ret();
  c.end();
  c.get(at).i32(ThreadedInsn.size).op(Op.i32_add).set(at);
  c.get(pointer).get(length).op(Op.i32_add).set(pointer);
  c.get(room).get(length).op(Op.i32_sub).set(room);
  c.get(next).set(ip);
  c.br(insns);
  c.end();
  c.op(Op.unreachable);
  return c.finish();
}

/** The constant at the pointer on the stack, as 64 bits: read as the form's field `read` says. */
function readConstant(c: Code, form: number, read: number): void {
  const from = c.local(Type.i32);
  c.set(from);
  const ways = [
    [Read.signed8, Op.i64_load8_s],
    [Read.unsigned8, Op.i64_load8_u],
    [Read.signed32, Op.i64_load32_s],
    [Read.unsigned32, Op.i64_load32_u],
    [Read.all64, Op.i64_load],
  ] as const;
  for (const [way, load] of ways) {
    c.get(form).mem(Op.i32_load8_u, read).i32(way).op(Op.i32_eq).if(Type.i64);
    c.get(from).mem(load).else();
  }
  c.get(from).mem(Op.i64_load16_u);
  for (const _ of ways) c.end();
}
