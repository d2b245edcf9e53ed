import * as calls from './core/calls.js';
import type { ReaderEvent } from './core/records.js';
import type { MoorlineError } from './errors.js';
import type { Session } from './session.js';
import type { Message, Position } from './types.js';

/** One reader of a channel: its messages are taken at once, or wait until they are asked for. */
export class Reading {
  private id: number | undefined;
  private state: 'open' | 'left' | 'ended' = 'open';
  private failure: MoorlineError | undefined;
  private readonly queue: Message[] = [];
  private wake = (): void => undefined;
  /** What the core is told next: messages that were taken, and how far the app is done. */
  private taken = 0;
  private done: { readonly epoch: string; offset: number } | undefined;

  constructor(
    private readonly session: Session,
    channel: string,
    options: calls.SubscribeCall,
    /** Who takes everything at once. */
    private readonly pushed?: (event: ReaderEvent) => void,
  ) {
    session.whenReady(
      () => {
        if (this.state !== 'open') return;
        try {
          this.id = session.subscribe(channel, options, (event) => this.onEvent(event));
        } catch (error) {
          // Told like a refusal of the server's: an option that disagrees with another handle's is not known before.
          void Promise.resolve().then(() => this.onEvent(['ended', error as MoorlineError]));
        }
      },
      (error) => this.onEvent(['ended', error]),
    );
  }

  get hasEnded(): boolean {
    return this.state !== 'open';
  }

  /** Hands out what waits, and ends. */
  drainTo(take: (message: Message) => void): void {
    for (const message of this.queue.splice(0)) take(message);
    this.leave(false);
  }

  /** The next message if there is one, `undefined` if it is to be waited for, `null` at the end. Throws a refusal. */
  take(): Message | null | undefined {
    const message = this.queue.shift();
    if (message) {
      this.consumed();
      return message;
    }
    if (this.state === 'open') return undefined;
    if (this.failure && this.failure.code !== 'client.closed') throw this.failure;
    return null;
  }

  /** Calls back when something can be taken; may do so again. */
  onWake(wake: () => void): void {
    this.wake = wake;
  }

  ack({ epoch, offset }: Position): void {
    const { id, done } = this;
    if (id === undefined || this.state !== 'open') return;
    if (done && done.epoch === epoch) {
      done.offset = Math.max(done.offset, offset);
      return;
    }
    const last = { epoch, offset };
    this.done = last;
    this.session.driver.callLater((to) => {
      if (this.done === last) this.done = undefined;
      calls.ack(id, last)(to);
    });
  }

  ackMessage(message: Message): void {
    if (message.offset !== undefined) this.ack({ epoch: message.epoch, offset: message.offset });
  }

  leave(forget: boolean): void {
    if (this.state !== 'open') return;
    this.state = 'left';
    this.queue.length = 0;
    if (this.id !== undefined) this.session.unsubscribe(this.id, forget);
    this.wake();
  }

  private onEvent(event: ReaderEvent): void {
    if (event[0] === 'ended') {
      if (this.state !== 'open') return;
      this.state = 'ended';
      this.failure = event[1];
    }
    if (this.pushed) {
      this.pushed(event);
      if (event[0] === 'message') this.consumed();
      return;
    }
    if (event[0] === 'message') this.queue.push(event[1]);
    this.wake();
  }

  /** One message was taken. */
  private consumed(): void {
    const { id } = this;
    if (id === undefined || this.state !== 'open' || this.taken++ > 0) return;
    this.session.driver.callLater((to) => {
      calls.consumed(id, this.taken)(to);
      this.taken = 0;
    });
  }
}
