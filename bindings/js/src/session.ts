import * as calls from './core/calls.js';
import type { Call } from './core/calls.js';
import type { Called, Listener, Outcome, ReaderEvent } from './core/records.js';
import { Driver } from './driver.js';
import type { Engine, Parts } from './engine.js';
import { Emitter } from './emitter.js';
import { MoorlineError, closedError, isMoorlineError, wrap } from './errors.js';
import type { Reading } from './reading.js';
import { Receipt } from './receipt.js';
import { Value } from './source.js';
import type { Connection, ConnectionState, HistoryPage, MembersPage, OutboxStats, StateReason, Status } from './types.js';

/** The events of a client. */
export type ClientEvents = {
  state: [state: ConnectionState, reason: StateReason];
  outbox: [outbox: OutboxStats];
  status: [users: Readonly<Record<string, Status>>];
  'status-ended': [error: MoorlineError];
};

type Answer = HistoryPage | MembersPage | Called | Map<string, Status>;

/** What waits for the core. */
interface Waiting {
  run(): void;
  fail(error: MoorlineError): void;
  /** Of a publish: what it adds to the outbox. */
  readonly bytes: number | undefined;
}

/** `close()` waits at most so long, ms: the core waits 5 s for the server and the store. */
const patience = 8000;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-';

/** The one client behind all handles: who waits for which event, and what was asked before the core was there. */
export class Session implements Listener {
  readonly driver: Engine;
  readonly connection: Value<Connection>;
  readonly events: Emitter<ClientEvents>;
  /** What the store had in its outbox. */
  readonly restored: Receipt[] = [];
  user: string | undefined;
  /** Why it ended, once it has. */
  ended: MoorlineError | undefined;
  /** Ends the calls of `connect` that wait. */
  readonly connecting = new Set<(why: MoorlineError) => void>();
  /** Why the server takes it no more: it can still be closed. */
  private refused: MoorlineError | undefined;

  private readonly readers = new Map<number, Reading>();
  private readonly receipts = new Map<number, Receipt>();
  private readonly requests = new Map<number, (answer: Answer | MoorlineError) => void>();
  private readonly closers: ((error: MoorlineError | undefined) => void)[] = [];
  private waiting: Waiting[] = [];
  /** Ends the wait for a store that does not answer. */
  private giveUp: (() => void) | undefined;
  private isUsed = false;
  private attempts = 0;
  private retryAt = 0;
  /** What waits in the core's outbox. */
  private standing: OutboxStats = { messages: 0, bytes: 0 };

  constructor(
    private readonly parts: Parts,
    private readonly limits: OutboxStats,
    /** What may wait in a reading that others do not wait for. */
    readonly queue: OutboxStats,
  ) {
    this.connection = new Value<Connection>({ state: 'idle' }, this.report);
    this.events = new Emitter<ClientEvents>(['state', 'outbox', 'status', 'status-ended'], this.report);
    this.driver = parts.share?.(parts, this) ?? new Driver(parts, this);
  }

  readonly report = (error: unknown): void => this.parts.host.report(error);

  /** What waits to be sent, also for the core. */
  get outbox(): OutboxStats {
    let outbox = this.standing;
    for (const { bytes } of this.waiting) {
      if (bytes !== undefined) outbox = { messages: outbox.messages + 1, bytes: outbox.bytes + bytes };
    }
    return outbox;
  }

  newId(): string {
    const bytes = new Uint8Array(16);
    this.parts.host.random(bytes);
    return Array.from(bytes, (byte) => alphabet[byte & 63]).join('');
  }

  /** Starts on first use; throws once closed. */
  use(): void {
    const why = this.ended ?? this.refused;
    if (why) throw why.code === 'client.closed' ? closedError() : why;
    this.isUsed = true;
    if (!this.driver.isRunning) this.driver.start();
  }

  /** Before the first use there is nothing to end. */
  disconnect(): void {
    if (!this.isUsed) return;
    this.call(calls.disconnect);
    for (const end of [...this.connecting]) end(new MoorlineError('request.order', 'disconnect() was called'));
  }

  /** Runs at once if the core is there, else when it is. */
  whenReady(run: () => void, fail: (error: MoorlineError) => void = () => undefined, bytes?: number): void {
    if (this.driver.isRunning) run();
    else if (this.ended) fail(this.ended);
    else this.waiting.push({ run, fail, bytes });
  }

  /** Makes a call, now or when the core is there. */
  call(call: Call): void {
    this.whenReady(() => this.driver.call(call));
  }

  /** Makes a call that is answered with a number. */
  ask(call: Call): number {
    return this.driver.ask(call, (from) => from.number());
  }

  subscribe(reading: Reading, options: calls.SubscribeCall): number {
    const id = this.ask(calls.subscribe(reading.channel, options));
    this.readers.set(id, reading);
    return id;
  }

  /** Whether a reader of the channel is taken from. */
  isTaken(channel: string): boolean {
    // Where tabs share a client, another tab may.
    return this.driver.quit !== undefined || [...this.readers.values()].some((reading) => reading.channel === channel && reading.isTaken);
  }

  /** Sees to it that readers that nobody takes from do not hold up this one. */
  makeWay({ channel }: Reading): void {
    for (const reading of this.readers.values()) if (reading.channel === channel) reading.makeWay();
  }

  unsubscribe(id: number, forget: boolean): void {
    this.readers.delete(id);
    this.driver.call(calls.unsubscribe(id, forget));
  }

  /** Queues a message of so many bytes, before the core is there within the same limits. */
  publish(call: Call, receipt: Receipt, size: number): void {
    this.use();
    const { messages, bytes } = this.outbox;
    if (!this.driver.isRunning && (messages >= this.limits.messages || bytes + size > this.limits.bytes)) {
      throw new MoorlineError('limit.outbox', 'the outbox is full: wait for earlier messages to be stored');
    }
    this.whenReady(
      () => this.receipts.set(this.ask(call), receipt),
      (error) => receipt.onFailed(error),
      size,
    );
  }

  /** Makes a call that ends with an answer. */
  request<T extends Answer>(call: Call): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.use();
      this.whenReady(() => {
        this.requests.set(this.ask(call), (answer) => (isMoorlineError(answer) ? reject(answer) : resolve(answer as T)));
      }, reject);
    });
  }

  close(wipe: boolean): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      if (this.ended && !wipe) return resolve();
      if (this.ended) return reject(this.ended);
      // What the store did not take, its receipt has told.
      this.closers.push((error) => (error && wipe ? reject(error) : resolve()));
      this.giveUp ??= this.parts.host.timer(patience, () => {
        this.driver.end();
        void this.releaseStore();
        this.finish(closedError(), new MoorlineError('storage.unavailable', `the store did not answer within ${patience / 1000} s`));
      });
      this.driver.start();
      if (this.driver.quit) this.driver.quit(wipe);
      else this.call(calls.close(wipe));
    });
  }

  onReady(): void {
    this.driver.ask(calls.restored, (from) =>
      from.list((entry) => {
        const [publish, channel, id] = [entry.number(), entry.text(), entry.text()];
        const receipt = new Receipt(id, channel, this.report);
        receipt.onQueued(this.isLasting);
        this.receipts.set(publish, receipt);
        this.restored.push(receipt);
      }),
    );
    this.driver.call(calls.connect);
    const { waiting } = this;
    this.waiting = [];
    for (const entry of waiting) {
      try {
        entry.run();
      } catch (error) {
        entry.fail(wrap('client.runtime', error));
      }
    }
  }

  onStanding(outbox: OutboxStats, nextAttempt: number): void {
    this.retryAt = nextAttempt;
    if (outbox.messages === this.standing.messages && outbox.bytes === this.standing.bytes) return;
    this.standing = outbox;
    if (this.events.has('outbox')) void Promise.resolve().then(() => this.events.emit('outbox', this.outbox));
  }

  onFatal(error: MoorlineError): void {
    void this.releaseStore();
    this.onState('closed', { kind: error.code === 'client.runtime' ? 'runtime' : 'store', error });
    this.finish(error, error);
  }

  onState(state: ConnectionState, reason: StateReason): void {
    if (state === 'closed') this.refused = reason.error;
    this.connection.set(this.describe(state, reason));
    this.events.emit('state', state, reason);
  }

  onWelcome(user: string | undefined): void {
    this.user = user;
  }

  onReaders(readers: number[], event: ReaderEvent): void {
    for (const id of readers) {
      const reading = this.readers.get(id);
      if (event[0] === 'ended') this.readers.delete(id);
      reading?.onEvent(event);
    }
  }

  onQueued(publish: number): void {
    this.receipts.get(publish)?.onQueued(this.isLasting);
  }

  onSent(publish: number): void {
    this.receipts.get(publish)?.onSent();
  }

  onSettled(publish: number, outcome: Outcome): void {
    const receipt = this.receipts.get(publish);
    this.receipts.delete(publish);
    receipt?.onSettled(outcome);
  }

  onAnswer(id: number, answer: Answer | MoorlineError): void {
    const settle = this.requests.get(id);
    this.requests.delete(id);
    settle?.(answer);
  }

  onStatus(users: Map<string, Status>): void {
    this.events.emit('status', toRecord(users));
  }

  onStatusEnded(error: MoorlineError): void {
    this.events.emit('status-ended', error);
  }

  onClosed(error: MoorlineError | undefined): void {
    this.driver.end();
    void this.releaseStore().then(() => this.finish(closedError(), error));
  }

  private get isLasting(): boolean {
    return (this.driver.isLasting ?? this.parts.store.isLasting) !== false;
  }

  private releaseStore(): Promise<void> {
    return Promise.resolve()
      .then(() => this.parts.store.close?.())
      .catch(this.report);
  }

  /** Tells everybody who still waits. */
  private finish(why: MoorlineError, closed: MoorlineError | undefined): void {
    if (this.ended) return;
    this.ended = why;
    this.giveUp?.();
    if (this.connection.current.state !== 'closed') {
      this.connection.set(why.code === 'client.closed' ? { state: 'closed' } : { state: 'closed', cause: why });
    }
    for (const entry of this.waiting.splice(0)) entry.fail(why);
    for (const receipt of this.receipts.values()) receipt.onSettled({ kind: 'kept', error: why });
    for (const settle of this.requests.values()) settle(why);
    this.onReaders([...this.readers.keys()], ['ended', why]);
    this.receipts.clear();
    this.requests.clear();
    for (const settle of this.closers.splice(0)) settle(closed);
  }

  private describe(state: ConnectionState, reason: StateReason): Connection {
    const cause = reason.error ? { cause: reason.error } : {};
    switch (state) {
      case 'idle':
        return { state };
      case 'online':
        this.attempts = 0;
        return { state, since: Date.now() };
      case 'closed':
        return { state, ...cause };
      default:
        return { state, attempt: ++this.attempts, retryAt: this.retryAt, ...cause };
    }
  }
}

export function toRecord(users: Map<string, Status>): Record<string, Status> {
  const record: Record<string, Status> = Object.create(null) as Record<string, Status>;
  users.forEach((status, user) => (record[user] = status));
  return record;
}
