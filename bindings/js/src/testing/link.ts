import type { Socket, SocketEvents } from '../host/host.js';
import type { Clock } from './clock.js';

/** Why a connection could not be opened. */
export const unreachable = 'the server is not reachable';

/** What a link asks of the network. */
export interface Weather {
  /** ms that a frame takes, one way. */
  readonly delay: number;
  /** Whether nothing gets through, up or down. */
  isHeld(way: 'up' | 'down'): boolean;
}

/** One direction of a connection: what goes in comes out in order, later or never. */
class Pipe {
  private items: { readonly at: number; readonly bytes: number; readonly run: () => void }[] = [];
  /** Bytes that have not come out. */
  bytes = 0;

  constructor(
    private readonly clock: Clock,
    private readonly weather: Weather,
    private readonly way: 'up' | 'down',
  ) {}

  push(bytes: number, run: () => void): void {
    const last = this.items[this.items.length - 1];
    const at = Math.max(last?.at ?? 0, this.clock.now + this.weather.delay);
    this.items.push({ at, bytes, run });
    this.bytes += bytes;
    this.clock.after(at - this.clock.now, () => this.flow());
  }

  /** Lets out what is due. */
  flow(): void {
    while (!this.weather.isHeld(this.way) && this.items[0] && this.items[0].at <= this.clock.now) {
      const item = this.items.shift()!;
      this.bytes -= item.bytes;
      item.run();
    }
  }

  clear(): void {
    this.items = [];
    this.bytes = 0;
  }
}

/** The server's side of a link. */
export interface Peer {
  /** Returns why the connection is refused, if it is: a close code, or a text where there is no WebSocket at all. */
  opened(link: Link, app: string): number | string | undefined;
  message(link: Link, frame: Uint8Array | string): void;
  closed(link: Link): void;
  /** So many bytes wait for the client. */
  queued(link: Link, bytes: number): void;
}

/** A WebSocket between a host and the server. */
export class Link implements Socket {
  private readonly up: Pipe;
  private readonly down: Pipe;
  private client: 'opening' | 'open' | 'closing' | 'closed' = 'opening';
  private server: 'none' | 'open' | 'gone' = 'none';
  private told = 0;

  constructor(
    readonly id: number,
    private readonly clock: Clock,
    private readonly weather: Weather,
    private readonly peer: Peer,
    private readonly events: SocketEvents,
    private readonly ended: (link: Link) => void,
  ) {
    this.up = new Pipe(clock, weather, 'up');
    this.down = new Pipe(clock, weather, 'down');
  }

  /** Whether the client has not been told of its end. */
  get isAlive(): boolean {
    return this.client !== 'closed';
  }

  get buffered(): number {
    return this.weather.isHeld('up') ? this.up.bytes : 0;
  }

  /** Bytes that wait for the client: only what does not get through counts. */
  get queued(): number {
    return this.weather.isHeld('down') ? this.down.bytes : 0;
  }

  /** Asks the server for a connection. */
  dial(app: string): void {
    this.up.push(0, () => {
      const refusal = this.peer.opened(this, app);
      if (typeof refusal === 'string') return this.down.push(0, () => this.end(undefined, refusal));
      this.server = 'open';
      this.down.push(0, () => {
        if (this.client !== 'opening') return;
        this.client = 'open';
        this.events.opened();
      });
      if (refusal !== undefined) {
        this.hangUp(refusal);
        this.peer.closed(this);
      }
    });
  }

  send(frame: Uint8Array | string): void {
    if (this.client !== 'open') return;
    const sent = typeof frame === 'string' ? frame : frame.slice();
    this.up.push(sent.length, () => {
      if (this.server === 'open') this.peer.message(this, sent);
    });
  }

  close(code: number): void {
    if (this.client !== 'open' && this.client !== 'opening') return;
    this.client = 'closing';
    this.up.push(0, () => {
      if (this.server === 'open') {
        this.server = 'gone';
        this.peer.closed(this);
      }
      this.down.push(0, () => this.end(code));
    });
  }

  /** The server sends a frame. */
  deliver(frame: Uint8Array | string): void {
    if (this.server !== 'open') return;
    this.down.push(frame.length, () => {
      if (this.client === 'open') this.events.frame(frame);
    });
  }

  /** The server closes; what it sent before arrives. */
  hangUp(code?: number, reason?: string): void {
    if (this.server !== 'open') return;
    this.server = 'gone';
    this.down.push(0, () => this.end(code, reason));
  }

  /** The connection breaks, for both, with whatever was under way. */
  cut(): void {
    this.up.clear();
    this.down.clear();
    if (this.server === 'open') {
      this.server = 'gone';
      this.peer.closed(this);
    }
    this.server = 'gone';
    const why = this.client === 'opening' ? unreachable : undefined;
    if (this.client !== 'closed') this.clock.soon(() => this.end(undefined, why));
  }

  /** The weather has changed. */
  flow(): void {
    this.up.flow();
    this.down.flow();
    this.tellQueued();
  }

  /** Tells the server what waits for the client. */
  tellQueued(): void {
    const bytes = this.queued;
    if (bytes === this.told || this.server !== 'open') return;
    this.told = bytes;
    this.peer.queued(this, bytes);
  }

  private end(code?: number, reason?: string): void {
    if (this.client === 'closed') return;
    this.client = 'closed';
    this.ended(this);
    this.events.closed(code, reason);
  }
}

/** Returns a close code of the protocol's. Throws for another number. */
export function closeCode(code: number): number {
  if (Number.isInteger(code) && code >= 4000 && code <= 4999) return code;
  throw new RangeError(`a close code is a whole number from 4000 to 4999, not ${code}`);
}
