import * as calls from './core/calls.js';
import { Emitter } from './emitter.js';
import { type MoorlineError, malformed } from './errors.js';
import { type HistoryQuery, rangeOf } from './history.js';
import { type MessagesOptions, Messages } from './messages.js';
import { type ChannelOptions, type PublishOptions, checkChannel, checkObject, checkPosition, checkPublish, checkSubscribe } from './options.js';
import { payloadOf } from './payload.js';
import { Presence } from './presence.js';
import { Receipt } from './receipt.js';
import { Reading, type ReadingOwner } from './reading.js';
import type { Session } from './session.js';
import type { HistoryPage, Message, Position, Reset, Subscribed } from './types.js';

/** The events of a channel. */
export type ChannelEvents = {
  message: [message: Message];
  subscribed: [subscribed: Subscribed];
  reset: [reset: Reset];
  dropped: [count: number];
  acked: [position: Position];
  error: [error: MoorlineError];
};

/**
 * A handle on a channel. Handles of one name share one subscription; each has readers of its own, and what it names in
 * its options must agree with the others'.
 */
export class Channel {
  readonly name: string;
  /** Who is in the channel. Needs `presence: 'watch'` or `'join'`. */
  readonly presence: Presence;

  private readonly events: Emitter<ChannelEvents>;
  private readonly subscribe: calls.SubscribeCall;
  private readonly readings = new Set<Reading>();
  /** Feeds the handlers. What comes while there is neither a handler nor an iteration waits in it for the next. */
  private main: Reading | undefined;
  /** Iterations that are not over. */
  private iterations = 0;
  /** What the last iteration left when it ended early. */
  private left: Reading | undefined;
  private hasLeft = false;

  /** @internal */
  constructor(
    private readonly session: Session,
    name: string,
    private readonly options: ChannelOptions,
  ) {
    checkChannel(name);
    this.subscribe = checkSubscribe(options);
    this.name = name;
    const names = ['message', 'subscribed', 'reset', 'dropped', 'acked', 'error'] as const;
    this.events = new Emitter<ChannelEvents>(names, session.report);
    this.presence = new Presence(session, name, () => this.read());
  }

  /**
   * Adds a handler, and begins to read. Returns its own undo. Handlers of `message` get every message that arrives
   * from now on, the first of them also what has arrived and nobody took; with `durable`, a message is acknowledged when they
   * have returned, unless `ack` is `'manual'`.
   * `error`: the server refused or ended the subscription, or its options disagree with another handle's.
   */
  on<Name extends keyof ChannelEvents>(name: Name, handler: (...args: ChannelEvents[Name]) => void): () => void {
    const off = this.events.start(name, handler, () => this.read());
    if (name === 'message') this.beginMain();
    return off;
  }

  /**
   * Returns the messages from now on, one after the other, and before them what has arrived and nobody took: the server is
   * asked to pause while they are not taken. With `durable`, a message is acknowledged when the next one is asked for, unless
   * `ack` is `'manual'`.
   *
   * The iteration ends when the channel is left or the client closed; it throws what the server refuses, and
   * `signal.reason` when that is aborted. Leaving the loop early leaves the channel as it is: the next `messages()` of
   * this handle goes on where this one ended.
   *
   * What nobody takes holds up no other reader of the channel: where one goes on, the oldest beyond `queue.messages` are given
   * up, and `dropped` tells how many.
   */
  messages(options: MessagesOptions = {}): Messages {
    checkObject(options, 'messages');
    if (options.signal && !('aborted' in Object(options.signal))) throw malformed('`signal` is that of an AbortController');
    this.read();
    const reading = this.left ?? this.open();
    this.left = undefined;
    this.iterations++;
    if (!this.events.has('message')) reading.adopt(this.main!, true);
    return new Messages(reading, options, {
      begin: () => {
        reading.isBegun = true;
        this.begin(reading);
      },
      done: (message) => this.ackOne(reading, message),
      leave: () => this.leaveReading(reading),
    });
  }

  /**
   * Queues a message and returns at once; it goes out by itself, over reconnects. A string goes as a text, a
   * `Uint8Array` or `ArrayBuffer` as bytes, everything else as JSON.
   *
   * Throws `limit.outbox` when too much waits already, `limit.message` for what is too large, `request.malformed` for
   * what cannot be sent, `client.closed`. Nothing is queued then.
   */
  publish(payload: unknown, options: PublishOptions = {}): Receipt {
    checkObject(options, 'message');
    const { session } = this;
    const carried = payloadOf(payload);
    const id = options.id ?? session.newId();
    const call = calls.publish(this.name, carried, checkPublish(options, id, carried.bytes.length, this.options.qos));
    const receipt = new Receipt(id, this.name, session.report);
    session.publish(call, receipt, carried.bytes.length);
    return receipt;
  }

  /** Asks for a part of the log. Asked again after a reconnect. */
  async history(query: HistoryQuery = {}): Promise<HistoryPage> {
    const call = calls.history(this.name, rangeOf(query), query.limit);
    const page = await this.session.request<HistoryPage>(call);
    return { ...page, messages: page.messages.map((message) => ({ ...message, channel: this.name })) };
  }

  /** Acknowledges everything up to this message or position: with `durable`, it does not come again. */
  ack(upTo: Message | Position): void {
    checkObject(upTo, 'position');
    const { offset, channel = this.name } = upTo as Message;
    // An inbox is `@me`, and the name of its user.
    if (channel !== this.name && this.name !== '@me') throw malformed(`a message of ${channel} is not acknowledged on ${this.name}`);
    if (offset === undefined) return;
    const position = checkPosition(upTo as Position);
    for (const reading of this.readings) reading.ack(position);
  }

  /**
   * Stops receiving; with the last handle on this name the server is told. The durable cursor stays, unless `forget`.
   * Receipts go on. Calling it again does nothing. Never throws.
   */
  leave(options: { readonly forget?: boolean } = {}): void {
    if (this.hasLeft) return;
    this.hasLeft = true;
    for (const reading of [...this.readings]) reading.leave(options.forget === true);
    this.readings.clear();
    this.main = this.left = undefined;
    this.presence.end();
    this.events.clear();
  }

  private read(): void {
    if (this.hasLeft) throw closedErrorOf(this.name);
    this.session.use();
    this.main ??= this.open({
      isTaken: () => this.events.has('message'),
      hand: (message) => this.hand(message),
      tell: (event) => {
        if (event[0] === 'presence') return this.presence.onChanged(event[1]);
        if (event[0] === 'ended') return this.onEnded(event[1]);
        this.events.emit(...event);
        if (event[0] === 'subscribed') this.presence.onSubscribed();
      },
    });
  }

  private open(owner?: ReadingOwner): Reading {
    const reading = new Reading(this.session, this.name, this.subscribe, owner);
    this.readings.add(reading);
    return reading;
  }

  /** Handlers take from now on, what an iteration has left before the rest. */
  private beginMain(): void {
    const main = this.main!;
    if (this.left) {
      main.adopt(this.left, false);
      this.close(this.left);
      this.left = undefined;
    }
    this.begin(main);
  }

  /** Somebody takes from now on, what waited first. */
  private begin(reading: Reading): void {
    const lost = reading.begin();
    void Promise.resolve().then(() => {
      if (lost > 0) this.events.emit('dropped', lost);
      if (reading === this.main) reading.drain();
    });
  }

  /** Hands a message to the handlers. Where there are none, iterations have it; where there are neither, it waits. */
  private hand(message: Message): boolean {
    if (!this.events.has('message')) return this.iterations > 0 || this.left !== undefined;
    this.events.emit('message', message);
    if (this.options.ack !== 'manual') this.main?.ackMessage(message);
    return true;
  }

  private ackOne(reading: Reading, message: Message): void {
    if (this.options.ack === 'manual') return;
    reading.ackMessage(message);
    // A handle whose only consumers are iterations is done with what they are done with.
    if (!this.events.has('message')) this.main?.ackMessage(message);
  }

  private leaveReading(reading: Reading): void {
    this.iterations--;
    reading.isBegun = false;
    if (this.hasLeft || reading.hasEnded) return;
    if (this.iterations === 0 && !this.events.has('message')) this.left = reading;
    else this.close(reading);
  }

  private close(reading: Reading): void {
    this.readings.delete(reading);
    reading.leave(false);
  }

  private onEnded(error: MoorlineError): void {
    this.readings.clear();
    this.main = this.left = undefined;
    this.presence.onEnded();
    if (error.code === 'client.closed') return;
    if (this.events.has('error')) this.events.emit('error', error);
    else if (this.events.has('message')) this.session.report(error);
  }
}

function closedErrorOf(name: string): MoorlineError {
  return malformed(`this handle has left ${name}: take a new one with client.channel()`);
}

