import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { SourceBytes } from '../code-cache.js';
import type { RegionPlan } from './plan.js';
import type { TranslatorReply } from './translator-thread.js';

/** What a CPU must know of a region when its module comes. */
export interface Requested {
  readonly source: readonly SourceBytes[];
  /** Addresses of its basic blocks. */
  readonly starts: readonly number[];
  /** Number of its instructions. */
  readonly insns: number;
}

export interface Translated extends Requested {
  readonly entry: number;
  /** null: it could not be translated. */
  readonly module: { readonly bytes: Uint8Array<ArrayBuffer>; readonly module: WebAssembly.Module } | null;
}

/**
 * Regions that a CPU has begun to translate before it asks another thread. A thread takes some 40 ms until it is there, as long as a dozen
 * regions take: programs that have few never have one.
 */
const FIRST_REGIONS = 4;

/** While so many regions are waited for, the CPU translates what becomes hot itself: both have work then. */
const MOST_REQUESTS = 4;

/**
 * Translates regions in a thread beside the CPU's, which goes on with threaded code meanwhile: making a region takes one to five
 * milliseconds, a third of the time of a program's first run that spends half a second in some hundred functions.
 *
 * Nobody waits for anybody: the CPU posts requests, and looks at the count of replies now and then.
 */
export class BackgroundTranslator {
  private readonly posted = new Int32Array(new SharedArrayBuffer(4));
  private taken = 0;
  private port: MessagePort | null = null;
  private ready = false;
  private regions = 0;
  private readonly requests = new Map<number, Requested>();

  /**
   * @param start begins a thread that runs `serveTranslations`, and returns the port that leads there
   * @param spare whether the host has a core for it now
   */
  constructor(
    private readonly start: (posted: Int32Array) => MessagePort,
    private readonly spare: () => boolean,
  ) {}

  /** Whether the next region is to be asked for; begins the thread when there have been some. */
  wants(): boolean {
    if (!this.spare()) return false;
    if (!this.port && ++this.regions > FIRST_REGIONS) this.port = this.start(this.posted);
    return this.ready && this.requests.size < MOST_REQUESTS;
  }

  /** Whether the region at `entry` has been asked for and has not come yet. */
  awaits(entry: number): boolean {
    return this.requests.has(entry);
  }

  request(plan: RegionPlan, requested: Requested): void {
    this.requests.set(plan.entry, requested);
    this.port!.postMessage(plan);
  }

  /** Whether `take` may have something. */
  get hasReplies(): boolean {
    return this.taken !== Atomics.load(this.posted, 0);
  }

  /** The next region that has come; null if there is none. */
  take(): Translated | null {
    while (this.hasReplies) {
      const received = receiveMessageOnPort(this.port!);
      this.taken++;
      const reply = received!.message as TranslatorReply;
      if (reply.kind === 'ready') {
        this.ready = true;
        continue;
      }
      const requested = this.requests.get(reply.entry)!;
      this.requests.delete(reply.entry);
      return { ...requested, entry: reply.entry, module: reply.kind === 'translated' ? reply : null };
    }
    return null;
  }

  /** Ends the thread, which has nothing to wait for then; what has been asked for doesn't come any more. */
  close(): void {
    this.port?.close();
    this.port = null;
    this.ready = false;
    this.requests.clear();
  }
}
