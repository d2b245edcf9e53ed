import type { Client } from '../client.js';
import type { Host } from '../host/host.js';
import { Backend, grantsOf, settingsOf } from './backend.js';
import { type CallHandler, Calls, type OnCallOptions } from './calls.js';
import { Clock } from './clock.js';
import { Dice } from './dice.js';
import { TestHost, type TestHostOptions } from './host.js';
import { type Link, type Peer, type Weather, closeCode, unreachable } from './link.js';
import { Machine, type Output, compile } from './machine.js';
import type { LoggedMessage, Published, PublishOptions, ServerConnection, ServerMember, TestServerOptions, TokenOptions } from './types.js';

/** When it is, unless a test says otherwise. */
const start = Date.UTC(2026, 0, 1);

/** Whom a fault is about: a client, a device, or all devices on which a user is connected. */
export type Target = Client | TestHost | string;

/**
 * A Moorline server in memory, with its own time and network. What takes no time happens by itself; time passes only
 * when the test says so.
 */
export class TestServer {
  /** Where clients connect; any other host name leads here, too. */
  readonly url = 'ws://moorline.test/ws';
  private readonly clock: Clock;
  private readonly machine: Machine;
  private readonly backend: Backend;
  private readonly calls: Calls;
  private readonly devices: TestHost[] = [];
  private readonly links = new Map<number, Link>();
  private readonly seed: number;
  private readonly peer: Peer;
  private readonly base: { delay: number; isDark: boolean } & Weather = {
    delay: 0,
    isDark: false,
    isHeld(way) {
      void way;
      return this.isDark;
    },
  };
  private readonly failures: unknown[] = [];
  private lastLink = 0;
  private refusal: number | undefined;
  private timer: { readonly at: number; readonly stop: () => void } | undefined;
  private isUp = true;

  /** @internal */
  constructor(module: WebAssembly.Module, options: TestServerOptions) {
    this.seed = options.seed ?? 0;
    const isBusy = (): boolean => this.devices.some((device) => device.isStarting);
    const begin = options.timers ? 0 : Number(options.now ?? start);
    this.clock = new Clock(begin, options.timers, isBusy, (error) => this.failures.push(error));
    this.machine = new Machine(new WebAssembly.Instance(module, {}), settingsOf(options), this.clock.now);
    this.backend = new Backend((question) => this.ask(question));
    const answer = (call: number, frame: unknown): void => void this.ask({ called: { call, frame } });
    this.calls = new Calls(this.clock, answer, (error) => this.failures.push(error));
    this.peer = {
      opened: (link, app) => this.opened(link, app),
      message: (link, frame) => this.act(() => this.machine.message(link.id, frame, this.clock.now)),
      closed: (link) => {
        this.links.delete(link.id);
        this.act(() => this.machine.closed(link.id, this.clock.now));
      },
      queued: (link, bytes) => this.act(() => this.machine.queued(link.id, bytes, this.clock.now)),
    };
    this.arm();
  }

  /** What time it is, ms since 1970. */
  get now(): number {
    return this.clock.now;
  }

  /** Whether the server runs. */
  get isRunning(): boolean {
    return this.isUp;
  }

  /** Makes a device: what `createClient({ host })` needs. Each has its own network, storage and randomness. */
  host(options?: TestHostOptions): TestHost {
    const dice = new Dice(this.seed, this.devices.length + 1);
    const { clock, peer, base } = this;
    const device = new TestHost({ clock, dice, peer, base, nextLink: () => ++this.lastLink }, options);
    this.devices.push(device);
    return device;
  }

  /** Makes a token. `dev:NAME` is one, too, that never expires by itself. */
  token(user: string, options: TokenOptions = {}): string {
    const { ttl, grants } = options;
    return this.ask({ token: { user, ttl, grants: grants && grantsOf(grants) } }) as string;
  }

  // Time

  /** Lets everything happen that takes no time. Resolves when nothing is left to do. */
  settle(): Promise<void> {
    return this.clock.settle().then(() => this.complain());
  }

  /** Lets so many ms pass, moment by moment, and everything happen that is due. */
  advance(ms: number): Promise<void> {
    return this.clock.advance(ms).then(() => this.complain());
  }

  /** Lets time pass until something is so, at most `within` ms (default 60,000). Throws if it is not so by then. */
  async until(condition: () => boolean, options: { readonly within?: number } = {}): Promise<void> {
    const { within = 60_000 } = options;
    const isSo = await this.clock.until(condition, within);
    this.complain();
    if (!isSo) throw new Error(`not so within ${within} ms: ${condition.toString()}`);
  }

  // The network

  /** Breaks connections at once. Clients may come back. */
  cut(target?: Target): void {
    this.each(target, (device) => device.cut());
  }

  /** Nothing gets through any more and nobody is told, until `heal`. */
  blackhole(target?: Target): void {
    if (target === undefined) this.base.isDark = true;
    else this.each(target, (device) => device.blackhole());
    this.links.forEach((link) => link.tellQueued());
  }

  /** The devices have no network, and know it, until `heal`. */
  offline(target?: Target): void {
    this.each(target, (device) => device.offline());
  }

  /** A frame takes so many ms, one way, until `heal`. */
  delay(ms: number, target?: Target): void {
    if (!(ms >= 0)) throw new RangeError(`delay() takes ms that are not negative, not ${ms}`);
    if (target === undefined) this.base.delay = ms;
    else this.each(target, (device) => device.delay(ms));
  }

  /** The app stands still for so many ms, as in a pocket; then everything that was due comes at once. */
  freeze(target: Target, ms: number): void {
    this.each(target, (device) => device.freeze(ms));
  }

  /** Ends `blackhole`, `offline`, `delay`, `freeze` and `refuse`; what waited gets through. */
  heal(target?: Target): void {
    if (target === undefined) {
      this.base.isDark = false;
      this.base.delay = 0;
      this.refusal = undefined;
    }
    this.each(target, (device) => device.heal());
  }

  // The server

  /** The process dies. Nothing is lost that was answered, if it is started with `restart()`. */
  kill(): void {
    this.isUp = false;
    this.calls.clear();
    this.ask('kill');
    for (const link of [...this.links.values()]) link.hangUp();
    this.links.clear();
  }

  /** Kills the process if it runs, and starts it: with its log (default), or with `keep: false` without anything. */
  restart(options: { readonly keep?: boolean } = {}): void {
    if (this.isUp) this.kill();
    this.isUp = true;
    this.ask({ start: { keep: options.keep ?? true } });
  }

  /** The process stops gracefully: it tells clients when to come back, and is gone. `restart()` starts it again. */
  drain(options: { readonly after?: number; readonly window?: number } = {}): void {
    this.ask({ drain: { after: options.after ?? 500, window: options.window ?? 3_000 } });
  }

  /** From now on new connections are closed with a code (4000 to 4999), or not opened at all, until `heal`. */
  refuse(code?: number): void {
    this.refusal = code === undefined ? 0 : closeCode(code);
  }

  /** The server closes connections with a code (4000 to 4999). */
  close(target: Target, code: number): void {
    closeCode(code);
    this.each(target, (device) => {
      for (const link of [...device.links]) this.ask({ close: { conn: link.id, code } });
    });
  }

  /** All tokens of a user so far are expired; its connections are closed for that. Tokens made later are good. */
  expireToken(user: string): void {
    this.ask({ expireToken: { user } });
  }

  /** All tokens of a user so far are revoked; its connections are closed for good. Tokens made later are good. */
  revoke(user: string): void {
    this.ask({ revoke: { user } });
  }

  // The backend

  /** Publishes as the app's backend does. Throws what the server refuses. */
  publish(channel: string, payload: unknown, options: PublishOptions = {}): Published {
    return this.backend.publish(channel, payload, options);
  }

  /**
   * Answers calls of clients from now on, as the app's backend: `server.onCall('cart.add', ({ data }) => …)`, for one method,
   * or for all that begin so (`cart.*`). What the handler returns is the answer. A `MoorlineError` that it throws with the
   * code `call.refused`, or that and a word of the app's behind a dot, is its refusal; with `call.unavailable`, `call.failed`
   * or `call.timeout`, that. Whatever else it throws makes `call.failed`, and the next `settle`, `advance` or `until` throws it.
   * Of several handlers that fit, the last answers. Returns its own undo.
   */
  onCall(method: string, handler: CallHandler, options: OnCallOptions = {}): () => void {
    return this.calls.on(method, handler, options);
  }

  /** Everything that the log keeps of a channel, oldest first. */
  messages(channel: string): LoggedMessage[] {
    return this.backend.messages(channel);
  }

  /** Who is present in a channel, by name. */
  members(channel: string): ServerMember[] {
    return this.backend.members(channel);
  }

  /** Who is connected, oldest first. */
  connections(): ServerConnection[] {
    return this.backend.connections().map(({ conn, ...known }) => ({ ...known, queued: this.links.get(conn)?.queued ?? 0 }));
  }

  /** Ends the server and all time: nothing happens any more. */
  stop(): void {
    this.isUp = false;
    this.calls.clear();
    this.clock.stop();
  }

  private opened(link: Link, app: string): number | string | undefined {
    if (!this.isUp || this.refusal === 0) return unreachable;
    if (this.refusal !== undefined) return this.refusal;
    this.links.set(link.id, link);
    let isOpen = false;
    this.act(() => (isOpen = this.machine.open(link.id, app, this.clock.now)));
    if (isOpen) return undefined;
    this.links.delete(link.id);
    return `no app has the name ${JSON.stringify(app)}; a URL ends in /ws or /ws/APP`;
  }

  private ask(question: unknown): unknown {
    let answer: unknown;
    this.act(() => (answer = this.machine.ask(question, this.clock.now)));
    return answer;
  }

  /** Does something to the server, then what the server wants. */
  private act(does: () => void): void {
    does();
    for (let output = this.machine.poll(); output; output = this.machine.poll()) this.obey(output);
    this.arm();
  }

  private obey(output: Output): void {
    switch (output.kind) {
      case 'send': {
        const link = this.links.get(output.conn);
        link?.deliver(output.frame);
        return link?.tellQueued();
      }
      case 'close': {
        const link = this.links.get(output.conn);
        this.links.delete(output.conn);
        return link?.hangUp(output.code);
      }
      case 'call':
        return this.calls.ask(output.question);
      case 'uncall':
        return this.calls.giveUp(output.call);
      case 'drained':
        return this.clock.soon(() => this.kill());
    }
  }

  /** Sees to it that the server is woken in time. */
  private arm(): void {
    const at = this.machine.deadline(this.clock.now);
    if (this.timer?.at === at) return;
    this.timer?.stop();
    this.timer = undefined;
    if (at === Infinity) return;
    const stop = this.clock.after(at - this.clock.now, () => {
      this.timer = undefined;
      this.act(() => this.machine.timeout(this.clock.now));
    });
    this.timer = { at, stop };
  }

  private each(target: Target | undefined, act: (device: TestHost) => void): void {
    for (const device of this.found(target)) act(device);
  }

  private found(target: Target | undefined): readonly TestHost[] {
    if (target === undefined) return this.devices;
    if (typeof target !== 'string') {
      // By what it has: the client may be of another copy of the package, such as the one for `require`.
      const device: Host = target instanceof TestHost ? target : target.host;
      if (device instanceof TestHost) return [device];
      throw new TypeError('this client is not on a host of this server: createClient({ host: server.host() })');
    }
    const theirs = new Set(this.backend.connections().filter((entry) => entry.user === target).map((entry) => entry.conn));
    const found = this.devices.filter((device) => [...device.links].some((link) => theirs.has(link.id)));
    if (found.length === 0) throw new Error(`no connection of a user ${JSON.stringify(target)}; pass the host instead`);
    return found;
  }

  /** What went wrong inside is the test's to know. */
  private complain(): void {
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
  }
}

/** Starts a Moorline server in memory. */
export async function createTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  return new TestServer(await compile(), options);
}
