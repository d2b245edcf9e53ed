import type { Host, HostName, HostSignal, Socket, SocketEvents } from '../host/host.js';
import type { Clock } from './clock.js';
import type { Dice } from './dice.js';
import { Link, type Peer, type Weather } from './link.js';
import { TestStore } from './store.js';

/** How a device is set up. */
export interface TestHostOptions {
  /** Which platform it says it is (default `node`). */
  readonly name?: HostName;
}

/** What a device needs of its server. */
export interface Surroundings {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly peer: Peer;
  readonly nextLink: () => number;
  readonly base: Weather;
}

/**
 * A device of a test: its network, clock, randomness and storage. Give it to `createClient({ host })`; a second client
 * after the first was closed finds what the first left in the storage, as an app that is started again.
 */
export class TestHost implements Host {
  readonly name: HostName;
  /** The storage: full, broken or wiped when the test says so. */
  readonly storage = new TestStore(() => this.starting++);
  /** What handlers of the app threw, oldest first. */
  readonly errors: unknown[] = [];
  /** The connections that its clients know of. @internal */
  readonly links = new Set<Link>();
  /** Clients that have read the storage and do not run yet: their core is being compiled. */
  private starting = 0;
  private readonly listeners = new Set<{ emit: (signal: HostSignal) => void }>();
  private readonly weather: Weather;
  private late: (() => void)[] = [];
  private isDark = false;
  private isOffline = false;
  private isFrozen = false;
  private thaw: (() => void) | undefined;
  private ownDelay: number | undefined;

  /** @internal */
  constructor(
    private readonly around: Surroundings,
    options: TestHostOptions = {},
  ) {
    this.name = options.name ?? 'node';
    const [own, base] = [this, around.base];
    this.weather = {
      get delay() {
        return own.ownDelay ?? base.delay;
      },
      isHeld: (way) => own.isDark || own.isFrozen || base.isHeld(way),
    };
  }

  open(url: string, events: SocketEvents): Socket {
    const link = new Link(this.around.nextLink(), this.around.clock, this.weather, this.around.peer, events, (ended) => {
      this.links.delete(ended);
    });
    this.links.add(link);
    const app = appOf(url);
    if (this.isOffline) link.cut();
    else link.dial(app);
    return link;
  }

  now(): number {
    return this.around.clock.now;
  }

  wall(): number {
    return this.around.clock.now;
  }

  random(into: Uint8Array): void {
    this.around.dice.fill(into);
  }

  timer(ms: number, fire: () => void): () => void {
    let isOver = false;
    const act = (): void => {
      if (!isOver) fire();
    };
    const stop = this.around.clock.after(ms, () => (this.isFrozen ? void this.late.push(act) : act()));
    return () => {
      isOver = true;
      stop();
    };
  }

  signals(emit: (signal: HostSignal) => void): () => void {
    const listener = { emit };
    this.starting = Math.max(0, this.starting - 1);
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  store(): TestStore {
    return this.storage;
  }

  /** Each device is for itself: the browser that runs the test lends it nothing. */
  tabs(): undefined {
    return undefined;
  }

  report(error: unknown): void {
    this.errors.push(error);
  }

  /** The system tells the app something, such as `background`. */
  signal(signal: HostSignal): void {
    for (const listener of [...this.listeners]) listener.emit(signal);
  }

  /** Breaks every connection at once. The client may come back. */
  cut(): void {
    for (const link of [...this.links]) link.cut();
  }

  /** The network is there, but nothing gets through and nobody is told, until `heal`. */
  blackhole(): void {
    this.isDark = true;
  }

  /** The network is gone, and the system says so; connecting fails, until `heal`. */
  offline(): void {
    if (this.isOffline) return;
    this.isOffline = true;
    this.cut();
    this.signal('offline');
  }

  /** Ends `blackhole`, `offline`, `freeze` and `delay`; what waited gets through. */
  heal(): void {
    const wasOffline = this.isOffline;
    this.isDark = this.isOffline = false;
    this.ownDelay = undefined;
    this.wakeUp();
    this.flow();
    if (wasOffline) this.signal('online');
  }

  /** From now on a frame takes so many ms, one way, until `heal`. */
  delay(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`delay() takes ms that are not negative, not ${ms}`);
    this.ownDelay = ms;
  }

  /** The app stands still for so many ms, as in a pocket; then all timers that were due fire, and all frames arrive. */
  freeze(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`freeze() takes ms that are not negative, not ${ms}`);
    this.thaw?.();
    this.isFrozen = true;
    this.thaw = this.around.clock.after(ms, () => {
      this.wakeUp();
      this.flow();
    });
  }

  /** Whether a client is about to run. @internal */
  get isStarting(): boolean {
    return this.starting > 0;
  }

  /** What was held may get through. @internal */
  flow(): void {
    for (const link of [...this.links]) link.flow();
  }

  private wakeUp(): void {
    this.thaw?.();
    this.thaw = undefined;
    this.isFrozen = false;
    const late = this.late;
    this.late = [];
    for (const act of late) act();
  }
}

/** The app that a URL names: `/ws` is `default`. */
function appOf(url: string): string {
  const path = url.replace(/^[a-z]+:\/\/[^/?#]*/i, '').replace(/[?#].*$/, '');
  const match = /\/ws(?:\/([^/]+))?\/?$/.exec(path);
  return match ? (match[1] ?? 'default') : '';
}
