import type { RawEvents, RawSocket } from '../vm/kernel.js';

/** What lies under a simulated platform. */
export interface Ground {
  open(url: string, protocols: readonly string[], events: RawEvents): RawSocket;
  setTimeout(fire: () => void, ms: number): unknown;
  random(length: number): Promise<Uint8Array>;
  file(path: string): Promise<Uint8Array>;
}

export interface NetworkStatus {
  readonly isConnected: boolean;
  readonly networkType: string;
}

/** The clock under the device. */
const wall = Date.now.bind(Date);
/** How long an app that was left goes on, in ms. */
const grace = 5_000;

/** A device with one app: what the person in front of it and the vendor's system do to that app. */
export class Machine {
  readonly storage = new Map<string, string>();
  /** Bytes that the storage takes in all, and under one key. */
  limits = { bytes: 10 << 20, keyBytes: 1 << 20 };
  /** Lets an app have as many sockets as it likes: the scenarios are several people on one device. */
  hasManySockets = false;
  readonly shown = new Set<() => void>();
  readonly hidden = new Set<() => void>();
  readonly networks = new Set<(network: NetworkStatus) => void>();
  private readonly sockets = new Set<() => void>();
  private isSuspended = false;
  private held: (() => void)[] = [];
  private readonly timers = new Map<number, { readonly at: number; readonly fire: () => void }>();
  private lastTimer = 0;
  private skipped = 0;

  constructor(readonly ground: Ground) {}

  get openSockets(): number {
    return this.sockets.size;
  }

  /** Runs what the system calls: now, or when the app is resumed. */
  enter(act: () => void): void {
    if (this.isSuspended) this.held.push(act);
    else act();
  }

  /** The time of day: it goes on while nothing runs. */
  now(): number {
    return wall() + this.skipped;
  }

  setTimeout(fire: () => void, ms = 0): number {
    const id = ++this.lastTimer;
    this.timers.set(id, { at: this.now() + ms, fire });
    this.ground.setTimeout(() => this.enter(() => this.fire(id)), ms);
    return id;
  }

  clearTimeout(id: number): void {
    this.timers.delete(id);
  }

  /** The app is left; it goes on running for a while. */
  hide(): void {
    for (const handler of [...this.hidden]) handler();
  }

  /**
   * So many ms pass, all at once: the app runs for the first 5 s, then nothing of it. `dropsSockets`: the system ends its sockets meanwhile,
   * and never says so.
   */
  suspend(dropsSockets: boolean, ms = 0): void {
    this.skipped += Math.min(ms, grace);
    this.burst();
    this.isSuspended = true;
    this.skipped += Math.max(0, ms - grace);
    if (dropsSockets) for (const drop of [...this.sockets]) drop();
  }

  /** The app is shown again: timers that are due and what was held come in one burst, then it is told. Returns how many timers were due. */
  show(): number {
    this.isSuspended = false;
    const due = this.burst();
    for (const act of this.held.splice(0)) act();
    for (const handler of [...this.shown]) handler();
    return due;
  }

  /** Fires what is due, in order. */
  private burst(): number {
    const due = [...this.timers].filter(([, { at }]) => at <= this.now()).sort(([, one], [, other]) => one.at - other.at);
    for (const [id] of due) this.fire(id);
    return due.length;
  }

  private fire(id: number): void {
    const timer = this.timers.get(id);
    this.timers.delete(id);
    timer?.fire();
  }

  network(isConnected: boolean, networkType: string): void {
    for (const handler of [...this.networks]) handler({ isConnected, networkType });
  }

  /** Counts a socket. `forget` ends it so that the app is never told. Returns how it is given back. */
  track(socket: RawSocket, forget: () => void): () => void {
    const drop = (): void => {
      forget();
      socket.close(1000, '');
      this.sockets.delete(drop);
    };
    this.sockets.add(drop);
    return () => void this.sockets.delete(drop);
  }

  /** Writes a key; returns why it does not. */
  set(key: string, value: string): string | undefined {
    let total = value.length;
    for (const [other, kept] of this.storage) if (other !== key) total += kept.length;
    if (value.length > this.limits.keyBytes) return 'exceed max size of a key';
    if (total > this.limits.bytes) return 'exceed storage max size';
    this.storage.set(key, value);
    return undefined;
  }
}
