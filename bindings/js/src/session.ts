import * as calls from './core/calls.js';
import type { Call } from './core/calls.js';
import type { Called, Listener, Outcome, ReaderEvent } from './core/records.js';
import { Driver } from './driver.js';
import type { Engine, Parts } from './engine.js';
import { Emitter } from './emitter.js';
import { MoorlineError, closedError, isMoorlineError } from './errors.js';
import type { Receipt } from './receipt.js';
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

interface Request {
  resolve(answer: Answer): void;
  reject(error: MoorlineError): void;
}

/** What waits for the core. */
interface Waiting {
  run(): void;
  fail(error: MoorlineError): void;
}

/** The one client behind all handles: who waits for which event, and what was asked before the core was there. */
export class Session implements Listener {
  readonly driver: Engine;
  readonly connection: Value<Connection>;
  readonly events: Emitter<ClientEvents>;
  outbox: OutboxStats = { messages: 0, bytes: 0 };
  user: string | undefined;
  /** Why it ended, once it has. */
  ended: MoorlineError | undefined;

  private readonly readers = new Map<number, (event: ReaderEvent) => void>();
  private readonly receipts = new Map<number, Receipt>();
  private readonly requests = new Map<number, Request>();
  private readonly closers: { readonly isWipe: boolean; resolve(): void; reject(error: MoorlineError): void }[] = [];
  private waiting: Waiting[] = [];
  private attempts = 0;
  private retryAt = 0;

  constructor(
    private readonly parts: Parts,
    private readonly onOwnReady: (restored: readonly { publish: number; channel: string; id: string }[]) => void,
  ) {
    const report = (error: unknown): void => parts.host.report(error);
    this.connection = new Value<Connection>({ state: 'idle' }, report);
    this.events = new Emitter<ClientEvents>(['state', 'outbox', 'status', 'status-ended'], report);
    this.driver = parts.share?.(parts, this) ?? new Driver(parts, this);
  }

  report(error: unknown): void {
    this.parts.host.report(error);
  }

  /** Starts on first use; throws once closed. */
  use(): void {
    if (this.ended) throw this.ended.code === 'client.closed' ? closedError() : this.ended;
    if (this.driver.isRunning) return;
    if (this.connection.current.state === 'idle' && this.waiting.length === 0) this.driver.start();
  }

  /** Runs at once if the core is there, else when it is. */
  whenReady(run: () => void, fail: (error: MoorlineError) => void): void {
    if (this.driver.isRunning) run();
    else this.waiting.push({ run, fail });
  }

  subscribe(channel: string, options: calls.SubscribeCall, tell: (event: ReaderEvent) => void): number {
    const id = this.driver.ask(calls.subscribe(channel, options), (from) => from.number());
    this.readers.set(id, tell);
    return id;
  }

  unsubscribe(id: number, forget: boolean): void {
    this.readers.delete(id);
    this.driver.call(calls.unsubscribe(id, forget));
  }

  publish(call: Call, receipt: Receipt): void {
    const id = this.driver.ask(call, (from) => from.number());
    this.receipts.set(id, receipt);
  }

  follow(publish: number, receipt: Receipt): void {
    this.receipts.set(publish, receipt);
  }

  /** Makes a call that ends with an answer. */
  request<T extends Answer>(call: Call): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.use();
      this.whenReady(() => {
        const id = this.driver.ask(call, (from) => from.number());
        this.requests.set(id, { resolve: (answer) => resolve(answer as T), reject });
      }, reject);
    });
  }

  close(wipe: boolean): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      if (this.ended && !wipe) return resolve();
      if (this.ended) return reject(this.ended);
      this.closers.push({ isWipe: wipe, resolve, reject });
      this.driver.start();
      if (this.driver.quit) this.driver.quit(wipe);
      else this.whenReady(() => this.driver.call(calls.close(wipe)), () => undefined);
    });
  }

  onReady(): void {
    const restored = this.driver.ask(calls.restored, (from) =>
      from.list((entry) => ({ publish: entry.number(), channel: entry.text(), id: entry.text() })),
    );
    this.onOwnReady(restored);
    const { waiting } = this;
    this.waiting = [];
    for (const entry of waiting) {
      try {
        entry.run();
      } catch (error) {
        if (!isMoorlineError(error)) throw error;
        entry.fail(error);
      }
    }
  }

  onStanding(outbox: OutboxStats, nextAttempt: number): void {
    this.retryAt = nextAttempt;
    if (outbox.messages === this.outbox.messages && outbox.bytes === this.outbox.bytes) return;
    this.outbox = outbox;
    if (this.events.has('outbox')) void Promise.resolve().then(() => this.events.emit('outbox', this.outbox));
  }

  onFatal(error: MoorlineError): void {
    void this.releaseStore();
    this.events.emit('state', 'closed', { kind: error.code === 'client.runtime' ? 'runtime' : 'store', error });
    this.finish(error, error);
  }

  onState(state: ConnectionState, reason: StateReason): void {
    this.connection.set(this.describe(state, reason));
    this.events.emit('state', state, reason);
  }

  onWelcome(user: string | undefined): void {
    this.user = user;
  }

  onReaders(readers: number[], event: ReaderEvent): void {
    for (const id of readers) {
      const tell = this.readers.get(id);
      if (event[0] === 'ended') this.readers.delete(id);
      tell?.(event);
    }
  }

  onQueued(publish: number): void {
    this.receipts.get(publish)?.onQueued();
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
    const request = this.requests.get(id);
    this.requests.delete(id);
    if (isMoorlineError(answer)) request?.reject(answer);
    else request?.resolve(answer);
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

  private releaseStore(): Promise<void> {
    return Promise.resolve()
      .then(() => this.parts.store.close?.())
      .catch((cause: unknown) => this.report(cause));
  }

  /** Tells everybody who still waits. */
  private finish(why: MoorlineError, closed: MoorlineError | undefined): void {
    this.ended = why;
    if (this.connection.current.state !== 'closed') {
      this.connection.set(why.code === 'client.closed' ? { state: 'closed' } : { state: 'closed', cause: why });
    }
    for (const entry of this.waiting.splice(0)) entry.fail(why);
    for (const receipt of this.receipts.values()) receipt.onSettled({ kind: 'kept', error: why });
    for (const request of this.requests.values()) request.reject(why);
    this.onReaders([...this.readers.keys()], ['ended', why]);
    this.receipts.clear();
    this.requests.clear();
    for (const closer of this.closers.splice(0)) {
      // What the store did not take, its receipt has told.
      if (closed && closer.isWipe) closer.reject(closed);
      else closer.resolve();
    }
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
