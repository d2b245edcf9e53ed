import { Channel } from './channel.js';
import * as calls from './core/calls.js';
import type { Called } from './core/records.js';
import type { Core } from './core/wasm.js';
import type { Writer } from './core/writer.js';
import type { TokenProvider } from './engine.js';
import { type MoorlineError, closedError, malformed } from './errors.js';
import type { Host, HostSignal, Store } from './host/host.js';
import { type CallOptions, type ChannelOptions, checkCall, checkCounts, checkObject, checkUsers, oneOf, whole } from './options.js';
import { describe } from './payload.js';
import type { Receipt } from './receipt.js';
import { type ClientEvents, Session, toRecord } from './session.js';
import type { Source } from './source.js';
import { memory } from './store/memory.js';
import type { TabSharing } from './tabs/share.js';
import type { Connection, ConnectionState, OutboxStats, Status } from './types.js';
import { version } from './version.js';

/** How a client connects. Everything has a default but the URL. */
export interface ClientOptions {
  /** The server, `ws://` or `wss://`; or several, tried in turn. */
  readonly url: string | readonly string[];
  /** A token, or who gives one whenever one is needed; a provider may return null for nobody. Absent: anonymous. */
  readonly token?: string | TokenProvider;
  /**
   * Where outbox, device id and positions are kept (default: the host's; IndexedDB in browsers, memory in Node). A store is one
   * user's: where users change, `(host) => host.store?.(name)` gives each their own. Nothing returned: memory.
   */
  readonly store?: Store | ((host: Host) => Store | undefined);
  /** Whether the server may compress what it sends (default true). */
  readonly compression?: boolean;
  /** Messages and bytes that may wait to be sent (default 1,000 and 8 MiB). */
  readonly outbox?: { readonly messages?: number; readonly bytes?: number };
  /** Messages and bytes of a channel that may wait to be taken before the server is asked to pause (default 1,024 and 4 MiB). */
  readonly queue?: { readonly messages?: number; readonly bytes?: number };
  /** Shortest and longest pause between attempts to connect, ms (default 500 and 20,000). */
  readonly backoff?: { readonly min?: number; readonly max?: number };
  /** ms for opening a socket and being welcomed (default 10,000). */
  readonly connectTimeout?: number;
  /**
   * Lets the tabs of one user share one connection, outbox and store: `shareTabs()` of `moorline/tabs`. Absent: each tab
   * is for itself, and the first one has the store.
   */
  readonly tabs?: TabSharing;
  /** The platform (default: chosen by the entry). */
  readonly host?: Host;
}

/** What an entry brings. @internal */
export interface Platform {
  readonly load: () => Promise<Core>;
  readonly host: () => Host;
}

/** A client: one connection, one outbox. Nothing is connected before it is used. */
export class Client {
  /** The connection with all that is known of it; the same object until it changes. */
  readonly connection: Source<Connection>;
  /** By it, `moorline/testing` finds a client's device. @internal */
  readonly host: Host;
  private readonly session: Session;

  /** @internal */
  constructor(options: ClientOptions, platform: Platform) {
    const urls = checkUrls(options);
    const { token } = options;
    if (token !== undefined && typeof token !== 'string' && typeof token !== 'function') {
      throw malformed(`\`token\` is a string or a function, not ${describe(token)}`);
    }
    const { tabs } = options;
    if (tabs !== undefined && typeof tabs !== 'function') throw malformed('`tabs` is what shareTabs() returns');
    const counts = checkCounts(options, ['backoff.min', 'backoff.max', 'connectTimeout', 'outbox.messages', 'outbox.bytes', 'queue.messages', 'queue.bytes']);
    const host = (this.host = options.host ?? platform.host());
    const [, , , messages = 1000, bytes = 8 << 20, queueMessages = 1024, queueBytes = 4 << 20] = counts;
    const outbox = { messages, bytes };
    const given = typeof options.store === 'function' ? (options.store(host) ?? memory()) : options.store;
    if (given !== undefined && typeof given?.load !== 'function') throw malformed('`store` is what memory() or indexedDb() returns');
    const store = given ?? host.store?.() ?? memory();
    const provider = typeof token === 'function' ? token : undefined;
    const settings = (to: Writer): void => writeSettings(to, options, urls, counts);
    const share = tabs?.(host, { url: urls[0]!.split('?')[0]!, token, store: given, outbox });
    this.session = new Session({ host, store, load: platform.load, settings, token: provider, share }, outbox, { messages: queueMessages, bytes: queueBytes });
    this.connection = this.session.connection;
  }

  /** The connection's state. */
  get state(): ConnectionState {
    return this.connection.current.state;
  }

  /** Who the server says this is, once it has; undefined for nobody. */
  get user(): string | undefined {
    return this.session.user;
  }

  /** What waits to be sent. */
  get outbox(): OutboxStats {
    return this.session.outbox;
  }

  /** What the store had in its outbox when this client started: it goes out by itself. Empty before the first use. */
  get restored(): readonly Receipt[] {
    return this.session.restored;
  }

  /** Adds a handler; returns its own undo. */
  on<Name extends keyof ClientEvents>(name: Name, handler: (...args: ClientEvents[Name]) => void): () => void {
    return this.session.events.on(name, handler);
  }

  /**
   * Connects, and resolves when the server has welcomed this client, however long that takes. Rejects with a final
   * refusal, and with `request.order` when `disconnect` is called. Optional: the first use of a channel connects.
   */
  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { session } = this;
      session.use();
      session.whenReady(() => session.driver.call(calls.connect), reject);
      const settle = (why?: MoorlineError): void => {
        const { state, cause } = this.connection.current as { state: ConnectionState; cause?: MoorlineError };
        if (!why && state !== 'online' && state !== 'closed') return;
        stop();
        session.connecting.delete(settle);
        if (why) reject(why);
        else if (state === 'online') resolve();
        else reject(cause ?? closedError());
      };
      const stop = this.connection.subscribe(() => settle());
      session.connecting.add(settle);
      settle();
    });
  }

  /** Disconnects; channels and the outbox stay. `connect` goes on. */
  disconnect(): void {
    this.session.disconnect();
  }

  /** Returns a handle on a channel, to read it or to publish on it. Throws `channel.invalid`. */
  channel(name: string, options: ChannelOptions = {}): Channel {
    return new Channel(this.session, name, options);
  }

  /**
   * Asks the app's backend something: `await client.call('cart.add', { sku: 7 })`. A text and bytes cross as such,
   * everything else as JSON, both ways.
   *
   * A call waits for a connection and is sent once at most; it ends within its timeout. Rejects with `call.refused`, or
   * that and the backend's own word behind a dot; with `call.uncertain`, `call.timeout` and `call.failed` where it may have
   * been carried out; with other codes where it was not.
   */
  async call(method: string, data: unknown = null, options: CallOptions = {}): Promise<unknown> {
    const call = calls.call(...checkCall(method, data, options));
    return (await this.session.request<Called>(call)).answer;
  }

  /** Asks which of at most 500 users are online. */
  async status(users: readonly string[]): Promise<Readonly<Record<string, Status>>> {
    const names = checkUsers(users);
    return toRecord(await this.session.request<Map<string, Status>>(calls.status(names)));
  }

  /**
   * Follows whether at most 500 users are online: `on('status')` tells what is not known yet, now and later. A later
   * list replaces this one; an empty one ends it.
   */
  watchStatus(users: readonly string[]): void {
    const names = checkUsers(users);
    this.session.use();
    const failed = (error: MoorlineError): void => this.session.onStatusEnded(error);
    this.session.whenReady(() => void this.session.ask(calls.watchStatus(names)), failed);
  }

  /** Tells the client what happens to the app or the device, only where the host does not. */
  lifecycle(signal: HostSignal | { readonly network: number }): void {
    if (typeof signal === 'object' && signal !== null) whole(signal.network, 'network');
    else if (!calls.signals.includes(signal)) throw malformed(`a signal is one of ${calls.signals.join(', ')}, or { network }`);
    this.session.call(calls.host(signal));
  }

  /**
   * Returns a record of what this client was told, at most 256 KiB, for a report of a fault. Payloads, header values,
   * states and tokens are not in it; names of channels and users, message ids and URLs (without their queries) are.
   * Empty before the first use and after the end.
   *
   * Only clients made by `moorline/blackbox` keep it, whose core is larger: others throw `feature.disabled`.
   */
  blackbox(): Uint8Array {
    return this.session.driver.isRunning ? this.session.driver.ask(calls.blackbox, (from) => from.blob()) : new Uint8Array(0);
  }

  /**
   * Sends outstanding acknowledgements, flushes the store and closes it; takes seconds at most, also without a
   * connection. Unsent messages stay in the store. With `wipe` (a logout) nothing of this user stays; rejects with why
   * the store may not be cleared.
   */
  async close(options: { readonly wipe?: boolean } = {}): Promise<void> {
    checkObject(options, 'close');
    oneOf('wipe', options.wipe, [true, false]);
    return this.session.close(options.wipe === true);
  }
}

function checkUrls(options: ClientOptions): readonly string[] {
  checkObject(options, 'client');
  const urls = Array.isArray(options.url) ? (options.url as readonly unknown[]) : [options.url];
  if (urls.length === 0) throw malformed('`url` names at least one server');
  for (const url of urls) {
    const parts = /^wss?:\/\/(?:[^\s/?#@]*@)?(?:\[[\da-f:.]+\]|[^\s/?#:[\]]+)(?::(\d+))?(?:[/?][^\s#]*)?$/i.exec(String(url));
    if (typeof url !== 'string' || !parts || Number(parts[1] ?? 0) > 65_535) {
      throw malformed(`\`url\` is the address of a server, such as wss://chat.example.com/ws, not ${typeof url === 'string' ? JSON.stringify(url) : describe(url)}`);
    }
  }
  return urls as string[];
}

/** Everything but the seed and what is stored. */
function writeSettings(to: Writer, options: ClientOptions, urls: readonly string[], counts: readonly (number | undefined)[]): void {
  const { token, compression = true } = options;
  const [min, max, connectTimeout, ...sizes] = counts;
  to.list(urls, (out, url) => out.text(url));
  if (typeof token === 'string') to.byte(1).text(token);
  else to.byte(token ? 2 : 0);
  to.text(`moorline-js/${version}`).flag(compression);
  for (const setting of [
    min, max, undefined, connectTimeout, undefined, sizes[0], sizes[1], undefined, sizes[2], sizes[3], undefined,
  ]) {
    to.maybe(setting, (out, value) => out.number(value));
  }
}
