import type { Connection } from './connection.js';
import type { Call } from './call.js';
import { Room } from './room.js';

/** The channels that are read or watched. */
export class Rooms {
  private readonly rooms = new Map<string, Room>();

  constructor(private readonly connection: Connection) {}

  /** The room of a channel, a new one if there is none. */
  of(name: string): Room {
    const known = this.rooms.get(name);
    if (known) return known;
    const room: Room = new Room(this.connection.use(), name, () => {
      if (this.rooms.get(name) === room) this.rooms.delete(name);
    });
    this.rooms.set(name, room);
    return room;
  }

  find(name: string): Room | undefined {
    return this.rooms.get(name);
  }

  /** The connection has ended: whoever still waits is told why. */
  clear(error: unknown): void {
    const waiting = ([] as Call[]).concat(...[...this.rooms.values()].map((room) => room.clear()));
    this.rooms.clear();
    for (const call of waiting) call.fail(error);
  }
}
