import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Exit } from '../../src/cpu/state.js';
import { planOf, type RegionPlan, regionOf } from '../../src/translate/background/plan.js';
import { BackgroundTranslator } from '../../src/translate/background/translator.js';
import { translate, type TranslatorReply } from '../../src/translate/background/translator-thread.js';
import { InsnDecoder } from '../../src/translate/insn.js';
import { discover, PROFILED } from '../../src/translate/region.js';
import { emitRegion } from '../../src/translate/translate.js';
import { CODE } from '../oracle/driver.js';
import { ThreadedCpu } from './threaded-cpu.js';

/** Instructions of a loop's body: more than small loops have, which are never asked for. */
const BODY = 50;
const ROUNDS = 20_000;
/** Loops before the one that is asked for: programs with few regions never have a thread. */
const EARLIER = 6;
const LOOP_BYTES = 5 + 3 * BODY + 2 + 6;

/** mov ecx, ROUNDS; L: add eax, n (BODY times); dec ecx; jne L */
function loop(n: number): Buffer {
  const code = Buffer.alloc(LOOP_BYTES);
  code[0] = 0xb9;
  code.writeInt32LE(ROUNDS, 1);
  for (let i = 0; i < BODY; i++) code.set([0x83, 0xc0, n], 5 + 3 * i);
  code.set([0xff, 0xc9, 0x0f, 0x85], 5 + 3 * BODY);
  code.writeInt32LE(-(3 * BODY + 8), LOOP_BYTES - 4);
  return code;
}

/** The translator's thread, which does something only when the test says so. */
class SlowThread {
  private readonly decoder = new InsnDecoder();
  readonly plans: RegionPlan[] = [];
  private readonly port: MessagePort;
  readonly cpuPort: MessagePort;

  constructor(private readonly posted: Int32Array) {
    const { port1, port2 } = new MessageChannel();
    this.cpuPort = port1;
    this.port = port2;
    this.post({ kind: 'ready' });
  }

  private post(reply: TranslatorReply): void {
    this.port.postMessage(reply);
    Atomics.add(this.posted, 0, 1);
  }

  /** Reads what has been asked for. */
  read(): void {
    for (let m = receiveMessageOnPort(this.port); m; m = receiveMessageOnPort(this.port))
      this.plans.push(m.message as RegionPlan);
  }

  answer(fails = false): void {
    this.read();
    for (const plan of this.plans.splice(0))
      this.post(fails ? { kind: 'failed', entry: plan.entry } : translate(plan, this.decoder));
  }

  close(): void {
    this.port.close();
  }
}

describe('regions translated in another thread', () => {
  let cpu: ThreadedCpu;
  let thread: SlowThread | null;
  let background: BackgroundTranslator;
  let spare: () => boolean;

  beforeEach(() => {
    cpu = new ThreadedCpu();
    thread = null;
    spare = () => true;
    background = new BackgroundTranslator(
      (posted) => (thread = new SlowThread(posted)).cpuPort,
      () => spare(),
    );
    cpu.engine.useBackground(background);
  });
  afterEach(() => {
    background.close();
    thread?.close();
  });

  /** Runs `loops` loops that add 1 to their counts, then a system call. */
  function run(loops: readonly number[]): number {
    cpu.place(Buffer.concat([...loops.map(loop), Buffer.from('0f05', 'hex')]).toString('hex'));
    return again();
  }

  function again(): number {
    expect(cpu.start()).toBe(Exit.syscall);
    return cpu.gpr('rax') / (BODY * ROUNDS);
  }

  const loops = (last: number) => [...new Array<number>(EARLIER).fill(1), last];
  const translated = () => cpu.count('regionsTranslated');

  it('a region comes from its plan as from the code itself', () => {
    const code = Buffer.concat([loop(3), Buffer.from('0f05', 'hex')]);
    const decoder = new InsnDecoder();
    const fetch = (ip: number) => decoder.decode(code.subarray(ip - CODE, ip - CODE + 15), ip);
    const found = discover(CODE, fetch, PROFILED)!;
    const options = { chain: true, seeded: false, cpu: 65_536, exactSoFar: false };
    const source = [...found.blocks.values()].map(({ start, insns }) => {
      const bytes = code.subarray(start - CODE, insns[insns.length - 1].next - CODE);
      return { address: start, bytes };
    });
    expect(found.blocks.size).toBeGreaterThan(2);
    const plan = structuredClone(planOf(found, source, options));
    expect(emitRegion(regionOf(plan, decoder), options)).toEqual(emitRegion(found, options));
  });

  it('programs with few regions have no thread, and none is asked without a core to spare', () => {
    expect(run([1, 2])).toBe(3);
    expect(thread).toBeNull();
    spare = () => false;
    expect(run(loops(2))).toBe(EARLIER + 2);
    expect(thread).toBeNull();
  });

  it('the CPU goes on with threaded code until the region comes, and then runs that', () => {
    expect(run(loops(2))).toBe(EARLIER + 2);
    const here = translated();
    thread!.read();
    expect(thread!.plans.length).toBeGreaterThan(0);
    thread!.answer();
    expect(again()).toBe(EARLIER + 2);
    expect(translated()).toBeGreaterThan(here);
    expect(background.awaits(CODE + EARLIER * LOOP_BYTES + 5)).toBe(false);
  });

  it('it comes in the middle of the loop', () => {
    let asked = 0;
    spare = () => {
      thread?.answer();
      asked++;
      return true;
    };
    expect(run(loops(2))).toBe(EARLIER + 2);
    expect(asked).toBeGreaterThan(EARLIER);
    expect(again()).toBe(EARLIER + 2);
  });

  it('a region of code that has been written to meanwhile is not used', () => {
    expect(run(loops(2))).toBe(EARLIER + 2);
    thread!.read();
    const wanted = thread!.plans.length;
    expect(wanted).toBeGreaterThan(0);
    expect(run(loops(5))).toBe(EARLIER + 5);
    thread!.answer();
    expect(again()).toBe(EARLIER + 5);
    expect(run(loops(7))).toBe(EARLIER + 7);
  });

  it('what the thread fails at is translated here', () => {
    expect(run(loops(2))).toBe(EARLIER + 2);
    const here = translated();
    thread!.answer(true);
    expect(again()).toBe(EARLIER + 2);
    expect(translated()).toBeGreaterThan(here);
  });

  it('so many regions are waited for at most; the CPU translates the others', () => {
    const many = new Array<number>(16).fill(1);
    expect(run(many)).toBe(16);
    thread!.read();
    expect(thread!.plans.length).toBe(4);
    expect(translated()).toBeGreaterThanOrEqual(12);
  });
});
