import * as calls from './core/calls.js';
import type { Call } from './core/calls.js';
import type { Reader } from './core/reader.js';
import { type Doer, type TokenReason, take } from './core/records.js';
import type { Core } from './core/wasm.js';
import { Writer } from './core/writer.js';
import type { Engine, Owner, Parts } from './engine.js';
import { MoorlineError, closedError, isMoorlineError, malformed, messageOf, wrap } from './errors.js';
import type { Socket, StoreBatch } from './host/host.js';

/** The longest span a host's timer takes. */
const longest = 2 ** 31 - 1;

/** Drives one client of the core: one socket, one timer, one store. */
export class Driver implements Doer, Engine {
  private core: Core | undefined;
  private handle = 0;
  private phase: 'new' | 'starting' | 'running' | 'ended' = 'new';
  private readonly batch = new Writer();
  private readonly later: Call[] = [];
  /** What the core said and is not done yet. */
  private readonly runs: Reader[] = [];
  private isDraining = false;
  private socket: { readonly id: number; readonly socket: Socket; told: number } | undefined;
  private timer: { readonly at: number; readonly stop: () => void } | undefined;
  private stopSignals = (): void => undefined;

  constructor(
    private readonly parts: Parts,
    private readonly owner: Owner,
  ) {}

  get isRunning(): boolean {
    return this.phase === 'running';
  }

  /** Loads the core and what is stored, once. */
  start(): void {
    if (this.phase !== 'new') return;
    this.phase = 'starting';
    const loaded = Promise.resolve().then(() => this.parts.store.load());
    Promise.all([this.parts.load(), loaded, this.parts.host.prepare?.()]).then(
      ([core, stored]) => this.create(core, stored),
      (error: unknown) => this.fail(wrap('storage.unavailable', error)),
    ).catch((error: unknown) => this.fail(wrap('client.runtime', error)));
  }

  /** Makes a call; what comes of it is told later. */
  call(call: Call): void {
    this.run(call);
    this.drainSoon();
  }

  /** Makes a call that answers. Throws what the core refuses. */
  ask<T>(call: Call, read: (from: Reader) => T): T {
    if (this.phase !== 'running') throw closedError();
    // The answer is the first that comes of a batch.
    if (this.later.length > 0) this.runs.push(this.runNow());
    const reader = this.runNow(call);
    const answer = answerOf(reader, read);
    this.runs.push(reader);
    this.drainSoon();
    if (isMoorlineError(answer)) throw answer;
    return answer as T;
  }

  /** Makes a call with the next ones, or in a moment. What it says is asked for then. */
  callLater(call: Call): void {
    if (this.phase !== 'running' || this.later.push(call) > 1) return;
    void Promise.resolve().then(() => {
      if (this.later.length > 0) this.feed();
    });
  }

  /** Ends at once, without a goodbye to the server. */
  end(): void {
    if (this.phase === 'ended') return;
    this.phase = 'ended';
    this.timer?.stop();
    this.stopSignals();
    this.hangUp(1000);
    this.core?.remove(this.handle);
    this.core = undefined;
  }

  open(id: number, url: string): void {
    const socket = this.parts.host.open(url, {
      opened: () => this.feed(calls.opened(id)),
      frame: (data) => {
        if (typeof data !== 'string') this.feed(calls.message(id, data));
      },
      activity: () => this.feed(calls.activity(id)),
      closed: (code, reason) => {
        if (this.socket?.id === id) this.socket = undefined;
        const isBroken = code === undefined && reason;
        if (!isBroken) return this.feed(calls.closed(id, code));
        // What is behind a question mark may be secret.
        this.feed(calls.failed(id, new MoorlineError('transport.unreachable', url.split('?')[0] + ': ' + reason, 'transport')));
      },
    });
    this.socket = { id, socket, told: 0 };
  }

  send(id: number, bytes: Uint8Array): void {
    if (this.socket?.id !== id) return;
    try {
      this.socket.socket.send(bytes);
    } catch {
      // A socket that takes nothing is about to tell that it is closed.
    }
  }

  close(id: number, code: number): void {
    if (this.socket?.id === id) this.hangUp(code);
  }

  needToken(reason: TokenReason): void {
    const { token } = this.parts;
    if (!token) return this.feed(calls.noToken);
    void Promise.resolve()
      .then(() => token({ reason }))
      .then((text) => {
        if (text === null || text === undefined) return calls.noToken;
        if (typeof text !== 'string') throw malformed('the token provider must return a string, or null for nobody');
        return calls.token(text);
      })
      .catch((error: unknown) => calls.tokenFailed(wrap('auth.invalid', error)))
      .then((call) => this.feed(call));
  }

  persist(ticket: number, batch: StoreBatch): void {
    const done = (): void => this.feed(calls.persisted(ticket));
    const failed = (error: unknown): void => this.feed(calls.notPersisted(ticket, failureKind(error), messageOf(error)));
    try {
      const committed = this.parts.store.commit(batch);
      if (committed) committed.then(done, failed);
      else done();
    } catch (error) {
      failed(error);
    }
  }

  /** Does or tells what one record says. */
  protected take(from: Reader): void {
    take(from, this, this.owner);
  }

  private create(core: Core, stored: readonly (readonly [string, Uint8Array])[]): void {
    if (this.phase !== 'starting') return;
    const { host } = this.parts;
    const seed = new Uint8Array(32);
    host.random(seed);
    const settings = new Writer();
    settings.raw(seed);
    this.parts.settings(settings);
    settings.list(stored, (to, [key, value]) => to.text(key).blob(value));
    const { handle, refusal } = core.create(settings.view(), host.now(), this.wall(), (failure) => this.fail(failure));
    if (handle === 0) throw refusal.failure();
    this.core = core;
    this.handle = handle;
    this.phase = 'running';
    if (host.signals) this.stopSignals = host.signals((signal) => this.feed(calls.host(signal)));
    this.owner.onReady();
    this.drain();
  }

  /** Something happened outside: told at once. */
  private feed(call?: Call): void {
    this.run(call);
    this.drain();
  }

  private run(call?: Call): void {
    if (this.phase !== 'running') return;
    try {
      this.runs.push(this.runNow(call));
    } catch (error) {
      this.fail(wrap('client.runtime', error));
    }
  }

  /** Makes the calls that waited and this one, in one batch. */
  private runNow(call?: Call): Reader {
    const { batch } = this;
    batch.clear();
    this.tellBuffered();
    if (this.later.length > 0) for (const earlier of this.later.splice(0)) earlier(batch);
    if (call) call(batch);
    const mono = this.parts.host.now();
    const unix = this.wall();
    const run = this.core!.run(this.handle, batch.view(), mono, unix);
    this.arm(run.deadline, mono);
    this.owner.onStanding(run.outbox, run.nextAttempt < 0 ? 0 : unix + Math.max(0, run.nextAttempt - mono));
    return run.records;
  }

  private wall(): number {
    const { host } = this.parts;
    return host.wall ? host.wall() : Date.now();
  }

  /** Says how much waits in the socket, where the host knows. */
  private tellBuffered(): void {
    const { socket } = this;
    const bytes = socket?.socket.buffered;
    if (!socket || bytes === undefined || bytes === socket.told) return;
    socket.told = bytes;
    calls.buffered(socket.id, bytes)(this.batch);
  }

  /**
   * Sees to it that the core is run at its deadline. Each frame that arrives moves it to later: then the timer stays as
   * it is and fires early, which costs less than a new timer per frame.
   */
  private arm(deadline: number, now: number): void {
    if (deadline < 0 || (this.timer && this.timer.at <= deadline)) return;
    this.timer?.stop();
    const span = Math.min(Math.max(0, Math.ceil(deadline - now)), longest);
    const stop = this.parts.host.timer(span, () => {
      this.timer = undefined;
      this.feed(calls.timeout);
    });
    this.timer = { at: deadline, stop };
  }

  private drainSoon(): void {
    if (this.isDraining || this.runs.length === 0) return;
    void Promise.resolve().then(() => this.drain());
  }

  /**
   * Does and tells what the runs left, in order. What that brings about comes behind it. The core is never wrong about its
   * own records, and the client's part of handling one does not throw.
   */
  protected drain(): void {
    if (this.isDraining) return;
    this.isDraining = true;
    for (let reader; (reader = this.runs.shift()); ) {
      while (reader.hasMore) {
        try {
          this.take(reader);
        } catch (error) {
          reader.skipAll();
          this.fail(wrap('client.runtime', error));
        }
      }
    }
    this.isDraining = false;
  }

  private fail(error: MoorlineError): void {
    if (this.phase === 'ended') return;
    this.end();
    this.runs.length = 0;
    this.owner.onFatal(error);
  }

  private hangUp(code: number): void {
    const { socket } = this;
    this.socket = undefined;
    socket?.socket.close(code, '');
  }
}

function answerOf<T>(reader: Reader, read: (from: Reader) => T): T | MoorlineError {
  const tag = reader.byte();
  if (tag === 1) return new MoorlineError('request.malformed', 'an argument is not what it should be');
  return tag === 3 ? reader.failure() : read(reader);
}

function failureKind(error: unknown): calls.StoreFailureKind {
  const code = isMoorlineError(error) ? error.code : (Object(error) as { name?: unknown }).name;
  if (code === 'storage.full' || code === 'QuotaExceededError') return 'full';
  return code === 'client.store_locked' ? 'locked' : 'io';
}
