import type { MessagePort } from 'node:worker_threads';
import { InsnDecoder } from '../insn.js';
import { emitRegion } from '../translate.js';
import { type RegionPlan, regionOf } from './plan.js';

/** What a translator's thread is started with. */
export interface TranslatorJob {
  readonly port: MessagePort;
  /** One word: how many replies have been posted. */
  readonly posted: Int32Array;
}

/** What it answers. */
export type TranslatorReply =
  /** It is there. */
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'translated';
      readonly entry: number;
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly module: WebAssembly.Module;
    }
  /** The plan could not be translated; whoever translates it itself is told why. */
  | { readonly kind: 'failed'; readonly entry: number };

/**
 * The thread that translates regions for a CPU: makes WebAssembly modules of the plans that it is sent, one after the other. A reply is
 * posted before it is counted, so whoever sees the count finds the reply.
 */
export function serveTranslations({ port, posted }: TranslatorJob): void {
  const decoder = new InsnDecoder();
  const reply = (message: TranslatorReply) => {
    port.postMessage(message);
    Atomics.add(posted, 0, 1);
  };
  port.on('message', (plan: RegionPlan) => reply(translate(plan, decoder)));
  reply({ kind: 'ready' });
}

export function translate(plan: RegionPlan, decoder: InsnDecoder): TranslatorReply {
  const { entry } = plan;
  try {
    const bytes = emitRegion(regionOf(plan, decoder), plan.options);
    return { kind: 'translated', entry, bytes, module: new WebAssembly.Module(bytes) };
  } catch {
    return { kind: 'failed', entry };
  }
}
