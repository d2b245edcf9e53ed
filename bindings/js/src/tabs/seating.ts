import * as calls from '../core/calls.js';
import { members as readMembers, position as readPosition } from '../core/records.js';
import type { Reader } from '../core/reader.js';
import { isMoorlineError } from '../errors.js';
import type { Position } from '../types.js';
import { isNamedStart, writeFailure, writeStart } from './bytes.js';
import type { Relay } from './relay.js';
import type { TabCall, Told } from './wire.js';

type Subscribe = Extract<TabCall, { t: 'sub' }>;

/** A tab with readers. */
export interface Reading {
  readonly name: string;
  readonly seats: Map<number, Seat>;
}

/** A reader of a tab, and its reader in the core. */
export interface Seat {
  readonly tab: Reading;
  call: Subscribe;
  core: number;
}

/** All readers of a channel. */
interface Room {
  readonly seats: Set<Seat>;
  /** Where reading was asked to begin, before it has. */
  start: Position | undefined;
}

/** All readers of all tabs. */
export class Seating {
  private readonly rooms = new Map<string, Room>();
  private readonly seats = new Map<number, Seat>();

  constructor(
    private readonly relay: Relay,
    private readonly tell: (told: Told) => void,
  ) {}

  seat(tab: Reading, call: Subscribe): void {
    const room: Room = this.rooms.get(call.channel) ?? { seats: new Set(), start: undefined };
    this.rooms.set(call.channel, room);
    const seat = tab.seats.get(call.id) ?? { tab, call, core: 0 };
    seat.call = call;
    tab.seats.set(call.id, seat);
    const isFirst = room.seats.size === 0;
    const isBehind = seat.core !== 0 || (call.at ? this.isPast(room, call.channel, call.at) : isNamedStart(call.since));
    room.seats.add(seat);
    if (isFirst || isBehind) this.begin(room, call);
    else this.subscribe(seat, undefined);
  }

  /** Whether a channel is read from further on than this. */
  private isPast(room: Room, channel: string, at: Position): boolean {
    const from = this.relay.ask(calls.position(channel), (reader) => reader.maybe(readPosition)) ?? room.start;
    return !from || from.epoch !== at.epoch || from.offset > at.offset;
  }

  /** Reads a channel anew from where this reader needs it. The others pass over what they have. */
  private begin(room: Room, call: Subscribe): void {
    room.start = call.at;
    for (const seat of room.seats) {
      if (seat.core === 0) continue;
      this.seats.delete(seat.core);
      this.relay.call(calls.unsubscribe(seat.core, false));
    }
    let since: Uint8Array | undefined = call.at ? writeStart(call.at) : call.since;
    for (const seat of [...room.seats]) if (this.subscribe(seat, since)) since = undefined;
  }

  private subscribe(seat: Seat, since: Uint8Array | undefined): boolean {
    const { channel, rest } = seat.call;
    const options = since ?? new Uint8Array(1);
    try {
      seat.core = this.relay.ask((to) => to.byte(4).text(channel).raw(options).raw(rest), (from) => from.number());
      this.seats.set(seat.core, seat);
      return true;
    } catch (error) {
      if (!isMoorlineError(error)) throw error;
      seat.core = 0;
      this.forget(seat);
      this.tell({ tag: 38, rest: writeFailure(error), to: [[seat.tab.name, [seat.call.id]]] });
      return false;
    }
  }

  vacate(seat: Seat, forget: boolean): void {
    this.forget(seat);
    if (seat.core !== 0) this.relay.call(calls.unsubscribe(seat.core, forget));
  }

  private forget(seat: Seat): void {
    seat.tab.seats.delete(seat.call.id);
    this.seats.delete(seat.core);
    const room = this.rooms.get(seat.call.channel);
    room?.seats.delete(seat);
    if (room?.seats.size === 0) this.rooms.delete(seat.call.channel);
  }

  /** Tells the readers of a record what it says. */
  route(tag: number, from: Reader): void {
    const to = new Map<string, number[]>();
    let channel: string | undefined;
    for (const core of from.list((reader) => reader.number())) {
      const seat = this.seats.get(core);
      if (!seat) continue;
      channel = seat.call.channel;
      to.set(seat.tab.name, [...(to.get(seat.tab.name) ?? []), seat.call.id]);
      if (tag === 38) this.forget(seat);
    }
    if (channel === undefined) return;
    const told: Told = { tag, rest: from.rest(), to: [...to] };
    this.tell(tag === 34 || tag === 44 ? { ...told, present: this.present(channel) } : told);
  }

  private present(channel: string): Uint8Array {
    return this.relay.ask(calls.present(channel), (from) => {
      const bytes = from.rest();
      from.maybe((reader) => [reader.number(), reader.maybe(readMembers)]);
      return bytes.slice(0, bytes.length - from.rest().length);
    });
  }
}
