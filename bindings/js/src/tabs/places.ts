import { position as readPosition } from '../core/records.js';
import { Reader } from '../core/reader.js';
import { Writer } from '../core/writer.js';
import type { Position } from '../types.js';
import { type Split, isNamedStart } from './bytes.js';
import type { TabCall } from './wire.js';

type Sub = Extract<TabCall, { t: 'sub' }>;

/** A reader of this tab, and how far it has come. */
interface Place {
  readonly call: Sub;
  /** The last position handed to the app. */
  at: Position | undefined;
  /** It waits for the leader to begin again where it stands. */
  isStale: boolean;
  /** What the app is done with, as in a call of `ack`; where reading began, before that. */
  acked: Uint8Array | undefined;
  readonly isLiveOnly: boolean;
  readonly isDurable: boolean;
}

/** Positions of channels that are not read any more: so many are remembered. */
const remembered = 256;

/** What comes of a record: calls to say, and what to tell whom. */
export interface News {
  readonly say: TabCall[];
  readonly tell: (readonly [ids: number[], rest: Uint8Array])[];
}

/** Where each reader of a tab stands. Nothing is handed to it twice, and nothing is passed over. */
export class Places {
  private readonly all = new Map<number, Place>();
  private readonly left = new Map<string, Position>();

  /** Adds a reader; nothing if it disagrees with another on where to begin. */
  add(id: number, { channel, since, rest, qos, isDurable }: Split): Sub | undefined {
    const first = [...this.all.values()].find((place) => place.call.channel === channel);
    if (first && since[0] === 1 && String(first.call.since) !== String(since)) return undefined;
    // A further reader of this tab reads from now on.
    const begin = first && isNamedStart(since) ? new Uint8Array(1) : since;
    const isResumed = !first && (since[0] === 0 || since[1] === 0) && qos !== 0;
    const at = isResumed ? this.left.get(channel) : undefined;
    this.left.delete(channel);
    const call: Sub = { t: 'sub', id, channel, since: begin, rest, at };
    this.all.set(id, { call, at, isStale: at !== undefined, acked: undefined, isLiveOnly: qos === 0 || first?.isLiveOnly === true, isDurable });
    return call;
  }

  /**
   * Takes a reader away; a later one of this tab goes on where the last one was, unless that is to be forgotten. Returns the channel
   * if nobody of this tab reads it any more.
   */
  remove(id: number, forget: boolean): string | undefined {
    const place = this.all.get(id);
    this.all.delete(id);
    if (!place || [...this.all.values()].some((other) => other.call.channel === place.call.channel)) return undefined;
    const { channel } = place.call;
    const at = place.isDurable ? place.acked && readPosition(new Reader(place.acked)) : place.at;
    if (forget || !at) return channel;
    this.left.set(channel, at);
    if (this.left.size > remembered) this.left.delete(this.left.keys().next().value!);
    return channel;
  }

  /** Every reader, as a leader has to know it. */
  calls(): Sub[] {
    return [...this.all.values()].map((place) => {
      place.isStale = place.at !== undefined;
      return { ...place.call, at: place.at };
    });
  }

  /** The channel of readers, all of one. */
  channelOf(ids: readonly number[]): string | undefined {
    return ids.map((id) => this.all.get(id)?.call.channel).find((channel) => channel !== undefined);
  }

  readersOf(channel: string): number[] {
    return [...this.all].filter(([, { call }]) => call.channel === channel).map(([id]) => id);
  }

  onAck(id: number, position: Uint8Array): void {
    const place = this.all.get(id);
    if (place) place.acked = position;
  }

  onRecord(tag: number, ids: readonly number[], rest: Uint8Array, isReset: boolean): News {
    const news: News = { say: [], tell: [] };
    const known = ids.filter((id) => this.all.has(id));
    if (tag === 34) for (const id of known) this.onSubscribed(this.all.get(id)!, rest, isReset, news);
    else if (tag === 35) this.onMessage(known, rest, news);
    else if (tag === 36) this.onReset(known, rest, news);
    else {
      if (tag === 38) known.forEach((id) => this.all.delete(id));
      if (known.length > 0) news.tell.push([known, rest]);
    }
    return news;
  }

  private onSubscribed(place: Place, rest: Uint8Array, isReset: boolean, news: News): void {
    const { call, at } = place;
    const from = new Reader(rest);
    const { epoch, offset: head } = readPosition(from);
    const begins = from.number();
    const replays = from.flag();
    if (isReset) {
      // What is missing is told next, to those who miss it.
    } else if (at && (at.epoch !== epoch || at.offset < begins)) {
      place.isStale = true;
      news.say.push({ ...call, at });
      return;
    } else if (!at && !place.isLiveOnly) {
      place.at = { epoch, offset: begins };
      if (place.isDurable) place.acked = new Writer().text(epoch).number(begins).view();
    }
    place.isStale = false;
    const reached = at && at.epoch === epoch ? Math.max(at.offset, begins) : begins;
    const told = new Writer().text(epoch).number(Math.max(head, reached)).number(reached).flag(replays);
    news.tell.push([[call.id], told.view()]);
    if (place.acked) news.say.push({ t: 'reader', id: call.id, op: 7, rest: place.acked });
  }

  private onMessage(ids: readonly number[], rest: Uint8Array, news: News): void {
    const from = new Reader(rest);
    from.text();
    const epoch = from.text();
    from.byte();
    const offset = from.aboveZero();
    const keep: number[] = [];
    for (const id of ids) {
      const place = this.all.get(id)!;
      const isNew = !place.isStale && (offset === undefined || !place.at || (place.at.epoch === epoch && offset > place.at.offset));
      if (!isNew) news.say.push({ t: 'reader', id, op: 6, rest: Uint8Array.of(1) });
      else {
        keep.push(id);
        if (offset !== undefined && place.at) place.at = { epoch, offset };
      }
    }
    if (keep.length > 0) news.tell.push([keep, rest]);
  }

  private onReset(ids: readonly number[], rest: Uint8Array, news: News): void {
    const from = new Reader(rest);
    from.flag();
    const epoch = from.text();
    from.number();
    from.number();
    const begins = from.number();
    const keep = ids.filter((id) => {
      const { at } = this.all.get(id)!;
      return !at || at.epoch !== epoch || at.offset < begins;
    });
    for (const id of keep) {
      const place = this.all.get(id)!;
      if (!place.isLiveOnly) place.at = { epoch, offset: begins };
      place.isStale = false;
    }
    if (keep.length > 0) news.tell.push([keep, rest]);
  }
}
