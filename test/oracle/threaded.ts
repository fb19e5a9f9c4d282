/** The test driver that runs cases as threaded code: with a handler for the shape of every instruction in them. */
import { InsnDecoder, MAX_INSN } from '../../src/translate/insn.js';
import { HandlerBuilder } from '../../src/translate/threaded/handlers.js';
import { CODE, type TestCase, type TestResult } from './driver.js';
import { EmulatorDriver } from './emulator.js';

export class ThreadedDriver extends EmulatorDriver {
  override readonly name = 'Europa, threaded';
  private readonly decoder = new InsnDecoder();

  override run(cases: readonly TestCase[]): TestResult[] {
    const builder = new HandlerBuilder();
    for (const hex of new Set(cases.map(({ code }) => Buffer.from(code).toString('hex')))) {
      const code = Buffer.from(`${hex}cc`, 'hex');
      for (let at = 0; at < code.length; ) {
        const insn = this.decoder.decode(code.subarray(at, at + MAX_INSN), CODE + at);
        if (insn) builder.add(insn);
        at += insn ? insn.next - insn.ip : 1;
      }
    }
    const { bytes, index } = builder.finish();
    this.useHandlers({ module: new WebAssembly.Module(bytes), index: new Map(index), forms: () => null });
    return super.run(cases);
  }
}
