import { malformed } from './errors.js';
import type { Reading } from './reading.js';
import type { Message } from './types.js';

/** How to iterate. */
export interface MessagesOptions {
  /** Ends the iteration with `signal.reason`. */
  readonly signal?: AbortSignalLike;
}

/** What is needed of an `AbortSignal`; some hosts have none. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

interface Owner {
  /** The app asks for the first. */
  begin(): void;
  /** The app has asked for the next: it is done with this one. */
  done(message: Message): void;
  leave(): void;
}

/** The messages of a channel, one after the other. See `Channel.messages`. */
export class Messages implements AsyncIterableIterator<Message> {
  private last: Message | undefined;
  private isOver = false;
  private hasBegun = false;
  private isWaiting = false;
  private settle = (): void => undefined;
  private readonly signal: AbortSignalLike | undefined;
  private readonly onAbort = (): void => this.settle();

  /** @internal */
  constructor(
    private readonly reading: Reading,
    options: MessagesOptions,
    private readonly owner: Owner,
  ) {
    this.signal = options.signal;
    this.signal?.addEventListener('abort', this.onAbort);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Waits for the next message, and acknowledges the one before it. One wait at a time. */
  async next(): Promise<IteratorResult<Message, undefined>> {
    if (this.isWaiting) throw malformed('next() was called while it still waited: await it first');
    if (!this.hasBegun && !this.isOver) this.owner.begin();
    this.hasBegun = true;
    if (this.last) this.owner.done(this.last);
    this.last = undefined;
    this.isWaiting = true;
    try {
      for (;;) {
        if (this.isOver) return { done: true, value: undefined };
        if (this.signal?.aborted) throw this.signal.reason;
        const message = this.reading.take();
        if (message === null) break;
        if (message) return { done: false, value: (this.last = message) };
        await new Promise<void>((resolve) => {
          this.settle = resolve;
          this.reading.onWake(resolve);
        });
      }
    } catch (error) {
      this.finish();
      throw error;
    } finally {
      this.isWaiting = false;
    }
    this.finish();
    return { done: true, value: undefined };
  }

  /** Ends the iteration; the channel stays as it is. A `next()` that waits ends, too. */
  async return(): Promise<IteratorResult<Message, undefined>> {
    this.finish();
    return { done: true, value: undefined };
  }

  private finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.signal?.removeEventListener('abort', this.onAbort);
    this.settle();
    this.owner.leave();
  }
}
