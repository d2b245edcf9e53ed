import { failureOf } from './failure.js';
import type { Room } from './room.js';
import type { Callbacks } from './types.js';

/** A call that stands once all its channels do, or fails with one of them. It ends once. */
export class Call {
  state: 'open' | 'done' | 'failed' = 'open';
  private readonly rooms: Room[] = [];
  private readonly left = new Set<Room>();

  constructor(
    private readonly onDone: () => void,
    private readonly onFailed: Callbacks<never>['onFailed'],
  ) {}

  /** Waits for this channel, too. */
  add(room: Room): void {
    this.rooms.push(room);
    this.left.add(room);
  }

  /** A channel stands. */
  stands(room: Room): void {
    if (this.state !== 'open' || !this.left.delete(room) || this.left.size > 0) return;
    this.end('done');
    this.onDone();
  }

  fail(error: unknown): void {
    if (this.state !== 'open') return;
    this.end('failed');
    this.onFailed?.(failureOf(error));
  }

  private end(state: 'done' | 'failed'): void {
    this.state = state;
    for (const room of this.rooms) room.onEnded(this);
  }
}

