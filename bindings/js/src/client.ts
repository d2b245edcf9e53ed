import { Channel, type ChannelHome } from './channel.js';
import * as calls from './core/calls.js';
import type { Called } from './core/records.js';
import type { Core } from './core/wasm.js';
import type { Writer } from './core/writer.js';
import type { TokenProvider } from './engine.js';
import { MoorlineError, malformed } from './errors.js';
import type { Host, HostSignal, Store } from './host/host.js';
import { type CallOptions, type ChannelOptions, checkCall, checkUsers } from './options.js';
import { describe } from './payload.js';
import { Receipt } from './receipt.js';
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

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-';

/** A client: one connection, one outbox. Nothing is connected before it is used. */
export class Client {
  /** The connection with all that is known of it; the same object until it changes. */
  readonly connection: Source<Connection>;
  private readonly session: Session;
  private readonly host: Host;
  private readonly home: ChannelHome;
  private readonly limits: { readonly messages: number; readonly bytes: number };
  /** What was published before the core was there. */
  private early = { messages: 0, bytes: 0 };
  private readonly earlier: Receipt[] = [];

  /** @internal */
  constructor(options: ClientOptions, platform: Platform) {
    const urls = checkUrls(options);
    const { token } = options;
    if (token !== undefined && typeof token !== 'string' && typeof token !== 'function') {
      throw malformed(`\`token\` is a string or a function, not ${describe(token)}`);
    }
    this.host = options.host ?? platform.host();
    this.limits = { messages: options.outbox?.messages ?? 1000, bytes: options.outbox?.bytes ?? 8 << 20 };
    const given = typeof options.store === 'function' ? (options.store(this.host) ?? memory()) : options.store;
    const store = given ?? this.host.store?.() ?? memory();
    const provider = typeof token === 'function' ? token : undefined;
    const settings = (to: Writer): void => writeSettings(to, options, urls);
    const share = options.tabs?.(this.host, { url: urls[0]!.split('?')[0]!, token, store: given, outbox: this.limits });
    this.session = new Session({ host: this.host, store, load: platform.load, settings, token: provider, share }, (restored) => {
      for (const { publish, channel, id } of restored) {
        const receipt = new Receipt(id, channel, (error) => this.host.report(error));
        receipt.onQueued();
        this.session.follow(publish, receipt);
        this.earlier.push(receipt);
      }
      this.session.driver.call(calls.connect);
    });
    this.connection = this.session.connection;
    this.home = {
      session: this.session,
      connect: () => this.session.use(),
      newId: () => this.newId(),
      admit: (bytes, run, fail) => this.admit(bytes, run, fail),
    };
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
    const { outbox } = this.session;
    const { early } = this;
    return early.messages === 0 ? outbox : { messages: outbox.messages + early.messages, bytes: outbox.bytes + early.bytes };
  }

  /** What the store had in its outbox when this client started: it goes out by itself. Empty before the first use. */
  get restored(): readonly Receipt[] {
    return this.earlier;
  }

  /** Adds a handler; returns its own undo. */
  on<Name extends keyof ClientEvents>(name: Name, handler: (...args: ClientEvents[Name]) => void): () => void {
    return this.session.events.on(name, handler);
  }

  /**
   * Connects, and resolves when the server has welcomed this client, however long that takes. Rejects with a final
   * refusal. Optional: the first use of a channel connects.
   */
  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.session.use();
      this.session.whenReady(() => this.session.driver.call(calls.connect), reject);
      const settle = (): void => {
        const { current } = this.connection;
        if (current.state !== 'online' && current.state !== 'closed') return;
        stop();
        if (current.state === 'online') resolve();
        else reject(current.cause ?? new MoorlineError('client.closed', 'the client is closed'));
      };
      const stop = this.connection.subscribe(settle);
      settle();
    });
  }

  /** Disconnects; channels and the outbox stay. `connect` goes on. */
  disconnect(): void {
    this.session.whenReady(() => this.session.driver.call(calls.disconnect), () => undefined);
  }

  /** Returns a handle on a channel, to read it or to publish on it. Throws `channel.invalid`. */
  channel(name: string, options: ChannelOptions = {}): Channel {
    return new Channel(this.home, name, options);
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
    this.session.whenReady(() => void this.session.driver.ask(calls.watchStatus(names), (from) => from.number()), failed);
  }

  /** Tells the client what happens to the app or the device, only where the host does not. */
  lifecycle(signal: HostSignal | { readonly network: number }): void {
    this.session.whenReady(() => this.session.driver.call(calls.host(signal)), () => undefined);
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
  close(options: { readonly wipe?: boolean } = {}): Promise<void> {
    return this.session.close(options.wipe === true);
  }

  private newId(): string {
    const bytes = new Uint8Array(16);
    this.host.random(bytes);
    let id = '';
    for (const byte of bytes) id += alphabet.charAt(byte & 63);
    return id;
  }

  /** Runs a publish, or keeps it until the core is there, within the limits of the outbox. */
  private admit(bytes: number, run: () => void, fail: (error: MoorlineError) => void): void {
    if (this.session.driver.isRunning) return run();
    if (this.early.messages >= this.limits.messages || this.early.bytes + bytes > this.limits.bytes) {
      throw new MoorlineError('limit.outbox', 'the outbox is full: wait for earlier messages to be stored');
    }
    this.count(1, bytes);
    const done = (then: () => void): void => {
      this.count(-1, -bytes);
      then();
    };
    this.session.whenReady(
      () => done(run),
      (error) => done(() => fail(error)),
    );
  }

  private count(messages: number, bytes: number): void {
    this.early = { messages: this.early.messages + messages, bytes: this.early.bytes + bytes };
  }
}

function checkUrls(options: ClientOptions): readonly string[] {
  if (typeof options !== 'object' || options === null) throw malformed(`the options of a client are an object, not ${describe(options)}`);
  const urls = Array.isArray(options.url) ? (options.url as readonly unknown[]) : [options.url];
  if (urls.length === 0) throw malformed('`url` names at least one server');
  for (const url of urls) {
    if (typeof url !== 'string' || !/^wss?:\/\/[^\s/?#]+/i.test(url) || /[\s#]/.test(url)) {
      throw malformed(`\`url\` is the address of a server, such as wss://chat.example.com/ws, not ${typeof url === 'string' ? JSON.stringify(url) : describe(url)}`);
    }
  }
  return urls as string[];
}

/** Everything but the seed and what is stored. */
function writeSettings(to: Writer, options: ClientOptions, urls: readonly string[]): void {
  const { token, backoff, outbox, queue } = options;
  to.list(urls, (out, url) => out.text(url));
  if (typeof token === 'string') to.byte(1).text(token);
  else to.byte(token ? 2 : 0);
  to.text(`moorline-js/${version}`).flag(options.compression ?? true);
  for (const setting of [
    backoff?.min, backoff?.max, undefined, options.connectTimeout, undefined,
    outbox?.messages, outbox?.bytes, undefined, queue?.messages, queue?.bytes, undefined,
  ]) {
    to.maybe(setting, (out, value) => out.number(value));
  }
}
