import type { Client } from '../client.js';
import type { Host } from '../host/host.js';
import { checkConnect } from './check.js';
import { begin, fail, failure, failureOf } from './failure.js';
import type { Base, Callbacks, ConnectOptions, ConnectionStatus, GoEasyOptions } from './types.js';

/** One `connect` with what it was called with. */
export interface Connected {
  readonly client: Client;
  readonly id: string | undefined;
  readonly data: object | undefined;
}

const already = "It is already connected, don't try again until disconnect() is called. ";
const unreachable = 'Host unreachable or timeout';

/** The one connection of a GoEasy: a client of Moorline from `connect` to `disconnect`. */
export class Connection {
  status: ConnectionStatus = 'disconnected';
  private current: Connected | undefined;
  private host: Host | undefined;

  constructor(
    private readonly base: Base,
    private readonly setup: () => { readonly options: GoEasyOptions; readonly url: string },
    private readonly onEnd: () => void,
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
      const { token } = setup;
      const host = (this.host = setup.client?.host ?? this.base.host());
      const client = this.base.createClient({
        ...setup.client,
        host,
        url,
        token: typeof token === 'function' ? () => token(id) : (token ?? otp ?? (id === undefined ? () => null : `dev:${id}`)),
      });
      this.current = { client, id, data };
      this.status = 'connecting';
      this.follow(client, options);
      options.onProgress?.(0);
      if (this.current?.client === client) client.connect().catch(() => undefined);
    });
  }

  disconnect(options: Callbacks<[]> | undefined): void {
    const { current } = this;
    const isUp = this.status === 'connected' || this.status === 'reconnected';
    this.release('disconnected');
    const closed = current ? current.client.close() : Promise.resolve();
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

  private follow(client: Client, options: ConnectOptions): void {
    let told = 0;
    let wasUp = false;
    client.connection.subscribe(() => {
      if (this.current?.client !== client) return;
      const { current } = client.connection;
      if (current.state === 'online') {
        this.status = wasUp ? 'reconnected' : 'connected';
        wasUp = true;
        told = 0;
        options.onSuccess?.();
      } else if (current.state === 'closed') {
        this.release('connect_failed');
        const { cause } = current;
        void client.close().catch(() => undefined);
        options.onFailed?.(cause ? failureOf(cause) : failure(408, unreachable));
      } else if (current.state !== 'idle') {
        this.status = wasUp ? 'reconnecting' : 'connecting';
        const attempt = wasUp ? current.attempt : current.attempt - 1;
        if (attempt > told) options.onProgress?.((told = attempt));
      }
    });
  }

  private release(status: ConnectionStatus): void {
    this.current = undefined;
    this.status = status;
    this.onEnd();
  }
}
