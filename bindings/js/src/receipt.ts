import type { Outcome } from './core/records.js';
import { MoorlineError } from './errors.js';
import { type Source, Value } from './source.js';

/** Where a published message is. */
export interface Stored {
  readonly epoch: string;
  /** Absent for an old duplicate of which only the fact is known. */
  readonly offset?: number;
  /** Whether it was there already. */
  readonly duplicate: boolean;
}

/**
 * How far a published message is.
 * - `queued`: it waits, over reconnects
 * - `sent`: it was sent; at QoS 0 that is the end
 * - `stored`: it is in the log
 * - `failed`: it will not be stored; `error` says why
 * - `uncertain`: whether it is in the log cannot be known any more
 */
export type ReceiptState = 'queued' | 'sent' | 'stored' | 'failed' | 'uncertain';

/** What becomes of a published message. Cancelling a wait for it does not take the message back. */
export class Receipt {
  /** The message's id. */
  readonly id: string;
  /** Its channel. */
  readonly channel: string;
  /**
   * Resolves when the message is in the log. Rejects with a `MoorlineError` when it will not be, with
   * `publish.uncertain` when that cannot be known, with `request.unsupported` at QoS 0, which stores nothing. When the
   * client is closed, or refused for good, it rejects with that: a message that was kept (`isKept`, still `queued`) goes out
   * with the next client on the same store; do not publish it again. Need not be awaited.
   */
  readonly stored: Promise<Stored>;
  /**
   * Resolves when the client's store has the message: from then on it outlives this page or process, if the store does
   * (`isKept`). Needs no connection. Rejects with why the store does not have it. Need not be awaited.
   */
  readonly queued: Promise<void>;
  /** Why it failed, if it did. */
  error: MoorlineError | undefined;
  /** Whether it outlives this page or process: the store has it, and is not in memory. */
  isKept = false;
  /** Its state, to be followed. */
  readonly progress: Source<ReceiptState>;

  private readonly value: Value<ReceiptState>;
  private resolve!: (stored: Stored) => void;
  private reject!: (error: MoorlineError) => void;
  private resolveQueued!: () => void;
  private rejectQueued!: (error: MoorlineError) => void;

  /** @internal */
  constructor(id: string, channel: string, report: (error: unknown) => void) {
    this.id = id;
    this.channel = channel;
    this.value = new Value<ReceiptState>('queued', report);
    this.progress = this.value;
    this.stored = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.queued = new Promise((resolve, reject) => {
      this.resolveQueued = resolve;
      this.rejectQueued = reject;
    });
    this.stored.catch(() => undefined);
    this.queued.catch(() => undefined);
  }

  /** How far it is. */
  get state(): ReceiptState {
    return this.value.current;
  }

  /** @internal */
  onQueued(isLasting: boolean): void {
    this.isKept = isLasting;
    this.resolveQueued();
  }

  /** @internal */
  onSent(): void {
    if (this.state === 'queued') this.value.set('sent');
  }

  /** @internal */
  onSettled(outcome: Outcome): void {
    switch (outcome.kind) {
      case 'sent':
        this.onSent();
        return this.refuse(new MoorlineError('request.unsupported', 'a message at QoS 0 is not stored'));
      case 'stored': {
        const { epoch, offset, duplicate } = outcome;
        this.value.set('stored');
        this.resolveQueued();
        return this.resolve(offset === undefined ? { epoch, duplicate } : { epoch, offset, duplicate });
      }
      case 'failed':
        return this.onFailed(outcome.error);
      case 'kept':
        return this.refuse(outcome.error);
      case 'uncertain':
        this.error = new MoorlineError('publish.uncertain', 'whether the message was stored cannot be known any more');
        this.value.set('uncertain');
        return this.refuse(this.error);
    }
  }

  /** @internal */
  onFailed(error: MoorlineError): void {
    this.error = error;
    this.isKept = false;
    this.value.set('failed');
    this.refuse(error);
  }

  private refuse(error: MoorlineError): void {
    this.reject(error);
    this.rejectQueued(error);
  }
}
