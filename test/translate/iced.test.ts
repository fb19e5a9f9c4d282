/** The enumerations copied from iced-x86 are the installed package's. */
import * as iced from 'iced-x86';
import { expect, it } from 'vitest';
import * as enums from '../../src/translate/iced/enums.js';
import { smallIced, USED } from '../../src/translate/iced/library.js';

/** Whether a member is one that the translator may meet: a legacy encoding in 64-bit mode. */
const wanted: Record<string, (value: number, name: string) => boolean> = {
  Code: (value) => {
    if (value === 0) return true;
    const info = iced.CodeExt.opCode(value);
    const legacy = info.encoding === iced.EncodingKind.Legacy && info.mode64;
    info.free();
    return legacy;
  },
  Mnemonic: (_value, name) => name in enums.Mnemonic,
};

it.each(Object.entries(enums))('%s is as in the package', (name, members) => {
  const theirs = (iced as unknown as Record<string, Record<string, number | string>>)[name];
  const expected = Object.entries(theirs).filter(
    ([member, value]) => typeof value === 'number' && (wanted[name]?.(value, member) ?? true),
  );
  expect(members).toEqual(Object.fromEntries(expected));
});

it('every code has its mnemonic', () => {
  const mnemonics = new Set<number>(Object.values(enums.Mnemonic));
  for (const code of Object.values(enums.Code)) {
    if (code === 0) continue;
    const info = iced.CodeExt.opCode(code);
    expect(mnemonics, iced.Code[code]).toContain(info.mnemonic);
    info.free();
  }
});

it('the smaller module has the exports that are used, and they are functions of the package', () => {
  const names = WebAssembly.Module.exports(new WebAssembly.Module(smallIced())).map(({ name }) => name);
  expect(names).toHaveLength(USED.length);
  expect(new Set(names)).toEqual(new Set(USED));
});
