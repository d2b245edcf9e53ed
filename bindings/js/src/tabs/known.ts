import { members as readMembers } from '../core/records.js';
import { Reader } from '../core/reader.js';
import { Writer } from '../core/writer.js';
import type { Member } from '../types.js';
import type { Places } from './places.js';
import type { TabCall, Told } from './wire.js';

const [joins, leaves, updates] = [1, 2, 5] as const;

/** Who is in each channel that a tab reads, and what of that its app was told. */
export class Known {
  private readonly present = new Map<string, Uint8Array>();
  private readonly told = new Map<string, readonly Member[] | undefined>();

  /** The answer to `present`. */
  of(channel: string): Uint8Array {
    return this.present.get(channel) ?? new Uint8Array(1);
  }

  forget(channel: string): void {
    this.present.delete(channel);
    this.told.delete(channel);
  }

  /** Who is there, as it came with a record. */
  learn(channel: string, present: Uint8Array): void {
    this.present.set(channel, present);
  }

  /** Takes a record of changes. A new leader has seen nobody before: returns what is new to this tab's app. */
  change(channel: string, rest: Uint8Array): Uint8Array {
    const from = new Reader(rest);
    const [count, , isSnapshot] = [from.number(), from.flag(), from.flag()];
    const [before, now] = this.step(channel);
    return isSnapshot && before && now ? written(count, before, now) : rest;
  }

  /** What the app was not told, as a record of changes: its tab came to this leader after the leader had seen who is there. */
  missed(channel: string): Uint8Array | undefined {
    if (!this.told.get(channel)) return undefined;
    const [before, now] = this.step(channel);
    return before && now && difference(before, now).length > 0 ? written(now.length, before, now) : undefined;
  }

  private step(channel: string): [before: readonly Member[] | undefined, now: readonly Member[] | undefined] {
    const before = this.told.get(channel);
    const now = new Reader(this.of(channel)).maybe((reader) => [reader.number(), reader.maybe(readMembers)] as const)?.[1];
    this.told.set(channel, now);
    return [before, now];
  }
}

/** What comes of a record of readers: calls to say, and which records to tell whom. */
export function newsOf(
  places: Places, known: Known, { tag, rest, present }: Told, ids: readonly number[], isReset: boolean,
): { readonly say: readonly TabCall[]; readonly tell: readonly (readonly [tag: number, ids: readonly number[], rest: Uint8Array])[] } {
  const channel = present && places.channelOf(ids);
  if (channel !== undefined) known.learn(channel, present!);
  const { say, tell } = places.onRecord(tag, ids, tag === 44 && channel !== undefined ? known.change(channel, rest) : rest, isReset);
  const all: (readonly [number, readonly number[], Uint8Array])[] = tell.map(([keep, bytes]) => [tag, keep, bytes]);
  const missed = tag === 34 && channel !== undefined ? known.missed(channel) : undefined;
  if (missed) all.push([44, places.readersOf(channel!), missed]);
  return { say, tell: all };
}

function difference(before: readonly Member[], now: readonly Member[]): (readonly [event: number, user: string, state: string | undefined])[] {
  const states = (all: readonly Member[]): Map<string, string | undefined> => new Map(all.map(({ user, state }) => [user, JSON.stringify(state)] as const));
  const [old, current] = [states(before), states(now)];
  const gone = [...old].filter(([user]) => !current.has(user)).map(([user]) => [leaves, user, undefined] as const);
  const news = [...current].filter(([user, state]) => !old.has(user) || old.get(user) !== state);
  return [...gone, ...news.map(([user, state]) => [old.has(user) ? updates : joins, user, state] as const)];
}

function written(count: number, before: readonly Member[], now: readonly Member[]): Uint8Array {
  return new Writer()
    .number(count)
    .flag(true)
    .flag(true)
    .list(difference(before, now), (to, [event, user, state]) => to.byte(event).text(user).maybe(state, (out, text) => out.text(text)))
    .view();
}
