import { Memory } from '../../memory/memory.js';
import { alignUp } from '../../memory/struct.js';
import { flowOf, FlowControl } from '../flow-control.js';
import { type Constants, type Insn, InsnDecoder, MAX_INSN } from '../insn.js';
import { PrefixTrie } from '../prefix-trie.js';
import { constantsOf } from '../template.js';
import {
  Form,
  FORMS_ROOM,
  FormTable,
  HASH_FACTOR,
  HASH_SHIFT,
  KEY_OFFSET,
  Read,
  TrieEntry,
} from './form-layout.js';
import type { HandlerIndex } from './handler-index.js';
import { writeInsn } from './insn-writer.js';
import { ThreadedInsn } from './layout.js';

function readOf(size: number, signed: boolean): number | null {
  if (size === 0) return Read.none;
  if (size === 1) return signed ? Read.signed8 : Read.unsigned8;
  if (size === 4) return signed ? Read.signed32 : Read.unsigned32;
  if (size === 8) return Read.all64;
  return size === 2 && !signed ? Read.unsigned16 : null;
}

/** The trie is at most half full. */
const ROOM = 2;

/**
 * Makes the table of the forms of instructions that begin with these bytes. Those that have none are left out.
 * @throws Error if there are too many for FORMS_ROOM, or one begins with another
 */
export function formTable(prefixes: readonly Uint8Array[], index: HandlerIndex): Uint8Array<ArrayBuffer> {
  const decoder = new InsnDecoder();
  const memory = Memory.create(65536);
  const scratch = ThreadedInsn.size;
  const trie = new PrefixTrie();
  const forms: Uint8Array[] = [];
  for (const prefix of prefixes) {
    const bytes = new Uint8Array(MAX_INSN);
    bytes.set(prefix);
    const insn = decoder.decode(bytes, 0x40_0000);
    const constants = insn && constantsOf(decoder, insn);
    if (!constants || constants.first !== prefix.length) continue;
    memory.u8.fill(0, scratch, scratch + ThreadedInsn.size);
    const variant = writeInsn(memory, scratch, insn, index);
    if (!variant || (constants.immediateSize > 0 && !variant.immediate)) continue;
    const image = memory.u8.slice(scratch, scratch + ThreadedInsn.size);
    const form = formOf(insn, image, constants);
    if (!form) continue;
    if (!trie.add(prefix, prefix.length, forms.length))
      throw new Error('an instruction begins with another one');
    forms.push(form);
  }
  return write(trie.edges, forms);
}

function formOf(insn: Insn, image: Uint8Array, constants: Constants): Uint8Array | null {
  const { displacementSize, displacementOffset, immediateSize, immediateOffset, signed, relative } =
    constants;
  const displacementRead = readOf(displacementSize, true);
  const immediateRead = readOf(immediateSize, signed);
  if (displacementRead === null || immediateRead === null) return null;
  const form = new Uint8Array(Form.size);
  form.set(image, Form.image);
  form[Form.length] = insn.next - insn.ip;
  form[Form.displacementOffset] = displacementOffset;
  form[Form.displacementRead] = displacementRead;
  form[Form.immediateOffset] = immediateOffset;
  form[Form.immediateRead] = immediateRead;
  form[Form.relative] = relative ? 1 : 0;
  const { kind, indirect } = flowOf(insn);
  form[Form.branch] = insn.ops.some((op) => op.kind === 'branch') ? 1 : 0;
  form[Form.ends] = kind === FlowControl.next ? 0 : 1;
  form[Form.indirect] = indirect ? 1 : 0;
  return form;
}

function write(edges: ReadonlyMap<number, number>, forms: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const entries = 2 ** Math.ceil(Math.log2(ROOM * Math.max(1, edges.size)));
  const start = alignUp(FormTable.size + entries * TrieEntry.size, 16);
  const bytes = new Uint8Array(start + forms.length * Form.size);
  if (bytes.length > FORMS_ROOM) throw new Error(`${forms.length} forms are too many: FORMS_ROOM`);
  const words = new Int32Array(bytes.buffer);
  words[FormTable.mask >>> 2] = entries - 1;
  words[FormTable.forms >>> 2] = start;
  for (const [edge, value] of edges) {
    const key = edge + KEY_OFFSET;
    let slot = Math.imul(key, HASH_FACTOR) >>> HASH_SHIFT;
    const entry = () => (FormTable.size + (slot & (entries - 1)) * TrieEntry.size) >>> 2;
    while (words[entry() + (TrieEntry.key >>> 2)] !== 0) slot++;
    words[entry() + (TrieEntry.key >>> 2)] = key;
    words[entry() + (TrieEntry.value >>> 2)] = value;
  }
  forms.forEach((form, i) => {
    bytes.set(form, start + i * Form.size);
  });
  return bytes;
}
