import type { Client } from '../client.js';
import type { Host, Store } from '../host/host.js';
import { memory } from '../store/memory.js';
import { checkConnect } from './check.js';
import { begin, fail, failure, failureOf } from './failure.js';
import type { Base, Callbacks, ConnectOptions, ConnectionStatus, GoEasyError, GoEasyOptions } from './types.js';

/** One `connect` with what it was called with. */
export interface Connected {
  readonly client: Client;
  readonly id: string | undefined;
  readonly data: object | undefined;
  /** Whether everybody who subscribes with an id is a member. */
  readonly everyoneIsMember: boolean;
  /** What this client's store keeps is sent by the next one with the same key; undefined: it is wiped. */
  keeps: string | undefined;
  wall(): number;
}

/** What is told of connections. */
export interface ConnectionListener {
  /** A client has begun, with what an earlier one left. */
  onBegun(connected: Connected): void;
  onEnd(error: GoEasyError): void;
}

const already = "It is already connected, don't try again until disconnect() is called. ";
const unreachable = 'Host unreachable or timeout';

/** The one connection of a GoEasy: a client of Moorline from `connect` to `disconnect`. */
export class Connection {
  status: ConnectionStatus = 'disconnected';
  private current: Connected | undefined;
  private host: Host | undefined;
  /** Settles once all earlier clients have let go of their stores. */
  private closing: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly base: Base,
    private readonly setup: () => { readonly options: GoEasyOptions; readonly url: string },
    private readonly listener: ConnectionListener,
  ) {}

  get isIdle(): boolean {
    return this.status === 'disconnected' || this.status === 'connect_failed';
  }

  connect(options: ConnectOptions): void {
    begin(options, () => {
      checkConnect(options);
      const { options: setup, url } = this.setup();
      if (!this.isIdle) throw failure(408, already);
      const { id, data, otp } = options;
      const { token, everyoneIsMember = false } = setup;
      const host = setup.client?.host ?? this.base.host?.();
      const client = this.base.createClient({
        ...setup.client,
        ...(host ? { host } : {}),
        url,
        token: typeof token === 'function' ? () => token(id) : (token ?? otp ?? (id === undefined ? () => null : `dev:${id}`)),
        store: (of) => {
          this.host = of;
          return opensAfter(this.closing, storeOf(of, id, setup));
        },
      });
      const current: Connected = { client, id, data, everyoneIsMember, keeps: `${url} ${id}`, wall: () => this.host?.wall?.() ?? Date.now() };
      this.current = current;
      this.status = 'connecting';
      this.follow(current, options, !setup.client?.store);
      return () => {
        options.onProgress?.(0);
        if (this.current === current) client.connect().catch(() => undefined);
      };
    });
  }

  disconnect(options: Callbacks<[]> | undefined): void {
    const isUp = this.status === 'connected' || this.status === 'reconnected';
    const closed = this.end('disconnected', failure(408, unreachable), false);
    if (!isUp) return void (options?.onFailed && fail(options, failure(408, unreachable)));
    closed.then(() => options?.onSuccess?.(), (error) => options?.onFailed?.(failureOf(error)));
  }

  /** What is connected, or is about to be. Throws without a `connect`. */
  use(): Connected {
    if (!this.current) throw failure(408, 'Please call connect() first.');
    return this.current;
  }

  /** Waits for an answer of the server, 12 s at most. */
  ask<T>(asked: Promise<T>, options: Callbacks<never>, take: (answer: T) => void): void {
    let isOver = false;
    const end = (then: () => void): void => {
      if (isOver) return;
      isOver = true;
      stop?.();
      then();
    };
    const lost = (error: unknown): void => void options.onFailed?.(failureOf(error));
    const stop = this.host?.timer(12_000, () => end(() => options.onFailed?.(failure(408, unreachable))));
    asked.then((answer) => end(() => take(answer)), (error) => end(() => lost(error)));
  }

  private follow(connected: Connected, options: ConnectOptions, isOwn: boolean): void {
    const { client, id } = connected;
    let told = 0;
    let wasUp = false;
    let hasBegun = false;
    client.connection.subscribe(() => {
      if (this.current !== connected) return;
      const { current } = client.connection;
      // Of a token that cannot be had, a tab tells before it knows whose it is.
      if (!hasBegun && current.state !== 'closed' && !('cause' in current)) {
        hasBegun = true;
        this.listener.onBegun(connected);
      }
      if (current.state === 'online') {
        if (id !== undefined && client.user !== id) {
          const who = client.user === undefined ? 'nobody' : JSON.stringify(client.user);
          // The id's store has just become another user's: it is empty, or was such before.
          return this.fail(options, failure(401, `auth.invalid: the token is of ${who}, and \`id\` is ${JSON.stringify(id)}`), isOwn);
        }
        this.status = wasUp ? 'reconnected' : 'connected';
        wasUp = true;
        told = 0;
        options.onSuccess?.();
      } else if (current.state === 'closed') {
        const { cause } = current;
        this.fail(options, cause ? failureOf(cause) : failure(408, unreachable));
      } else if (current.state !== 'idle') {
        this.status = wasUp ? 'reconnecting' : 'connecting';
        const attempt = wasUp ? current.attempt : current.attempt - 1;
        if (attempt > told) options.onProgress?.((told = attempt));
      }
    });
  }

  private fail(options: ConnectOptions, error: GoEasyError, isWipe = false): void {
    this.end('connect_failed', error, isWipe).catch(() => undefined);
    options.onFailed?.(error);
  }

  /** Lets go of the client, with its store emptied or not. */
  private end(status: ConnectionStatus, error: GoEasyError, isWipe: boolean): Promise<void> {
    const { current } = this;
    this.current = undefined;
    this.status = status;
    if (isWipe && current) current.keeps = undefined;
    const closed = current ? current.client.close({ wipe: isWipe }) : Promise.resolve();
    this.closing = Promise.all([this.closing, closed.catch(() => undefined)]);
    this.listener.onEnd(error);
    return closed;
  }
}

/** Each id has a store of its own; without one, nothing is kept: who that is shows only later. */
function storeOf(host: Host, id: string | undefined, { client }: GoEasyOptions): Store {
  const given = client?.store;
  const own = typeof given === 'function' ? given(host) : given;
  return own ?? (given || id === undefined ? undefined : host.store?.(`moorline:${id}`)) ?? { ...memory(), of: memory };
}

/** A store that waits with its first step for others to be closed. */
function opensAfter(closed: Promise<unknown>, store: Store): Store {
  return {
    ...(store.shared === undefined ? {} : { shared: store.shared }),
    ...(store.of ? { of: (group) => opensAfter(closed, store.of!(group)) } : {}),
    get isLasting() {
      return store.isLasting !== false;
    },
    load: (leads) => closed.then(() => store.load(leads)),
    commit: (batch) => store.commit(batch),
    close: () => store.close?.(),
  };
}
