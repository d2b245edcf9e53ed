import * as calls from './core/calls.js';
import type { ReaderEvent } from './core/records.js';
import type { MoorlineError } from './errors.js';
import type { Session } from './session.js';
import type { Message, Position } from './types.js';

type Told = Exclude<ReaderEvent, readonly ['message', ...unknown[]]>;

/** Who has what comes handed on: the handlers of a channel. */
export interface ReadingOwner {
  /** Whether there are any. */
  isTaken(): boolean;
  /** Takes a message, or does not. */
  hand(message: Message): boolean;
  /** Is told all else. */
  tell(event: Told): void;
}

/**
 * One reader of a channel: its messages are handed on at once, or wait until they are taken. The server is asked to pause for
 * those that wait; unless nobody takes them and another reader of the channel goes on: then the oldest are given up in time.
 */
export class Reading {
  /** Whether an iteration takes from it. */
  isBegun = false;
  private id: number | undefined;
  private state: 'open' | 'left' | 'ended' = 'open';
  private failure: MoorlineError | undefined;
  private queue: (readonly [message: Message, bytes: number])[] = [];
  /** How many of those that wait, from the first on, the core believes to be taken. */
  private paid = 0;
  private lost = 0;
  private wake = (): void => undefined;
  /** What the core is told next: messages that were taken, and how far the app is done. */
  private taken = 0;
  private done: { readonly epoch: string; offset: number } | undefined;

  constructor(
    private readonly session: Session,
    readonly channel: string,
    options: calls.SubscribeCall,
    private readonly owner?: ReadingOwner,
  ) {
    session.whenReady(
      () => {
        if (this.state !== 'open') return;
        try {
          this.id = session.subscribe(this, options);
        } catch (error) {
          // Told like a refusal of the server's: an option that disagrees with another handle's is not known before.
          void Promise.resolve().then(() => this.onEvent(['ended', error as MoorlineError]));
        }
      },
      (error) => this.onEvent(['ended', error]),
    );
  }

  get isTaken(): boolean {
    return this.isBegun || this.owner?.isTaken() === true;
  }

  get hasEnded(): boolean {
    return this.state !== 'open';
  }

  /** Takes over what waits in another reading of the channel, which is older than what waits here, or newer. */
  adopt(other: Reading, isOlder: boolean): void {
    other.pay();
    if (!isOlder) this.pay();
    this.queue = isOlder ? other.queue.concat(this.queue) : this.queue.concat(other.queue);
    this.paid += other.paid;
    this.lost += other.lost;
    other.queue = [];
    other.paid = other.lost = 0;
  }

  /** Somebody begins to take: hands on what waits, and returns how many messages were given up before it. */
  begin(): number {
    const { lost } = this;
    this.lost = 0;
    this.session.makeWay(this);
    return lost;
  }

  /** Hands on what waits, as far as somebody takes it. */
  drain(): void {
    while (this.queue.length > 0 && this.isTaken) this.owner?.hand(this.take()!);
  }

  /** The next message if there is one, `undefined` if it is to be waited for, `null` at the end. Throws a refusal. */
  take(): Message | null | undefined {
    const [message] = this.queue.shift() ?? [];
    if (message) {
      if (this.paid > 0) this.paid--;
      else this.consumed();
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
    this.queue = [];
    if (this.id !== undefined) this.session.unsubscribe(this.id, forget);
    this.wake();
  }

  /** Another reader of the channel is taken from: it does not wait for what nobody takes here. */
  makeWay(): void {
    if (this.isTaken) return;
    this.pay();
    const { messages, bytes } = this.session.queue;
    let held = this.queue.reduce((sum, [, size]) => sum + size, 0);
    while (this.queue.length > messages || held > bytes) {
      held -= this.queue.shift()![1];
      this.paid--;
      this.lost++;
    }
  }

  /** @internal */
  onEvent(event: ReaderEvent): void {
    if (event[0] === 'message') return this.onMessage(event[1], event[2]);
    if (event[0] === 'ended') {
      if (this.state !== 'open') return;
      this.state = 'ended';
      this.failure = event[1];
    }
    this.owner?.tell(event);
    this.wake();
  }

  private onMessage(message: Message, bytes: number): void {
    // What waits for a handler comes before this.
    if ((this.queue.length === 0 || !this.isTaken) && this.owner?.hand(message)) return this.consumed();
    this.queue.push([message, bytes]);
    if (!this.isTaken && this.session.isTaken(this.channel)) this.makeWay();
    this.wake();
  }

  /** What waits is taken, for the core. */
  private pay(): void {
    for (; this.paid < this.queue.length; this.paid++) this.consumed();
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
