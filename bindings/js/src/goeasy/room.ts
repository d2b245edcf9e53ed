import type { Channel } from '../channel.js';
import { readUtf8 } from '../core/utf8.js';
import type { PresenceInfo } from '../presence.js';
import type { Member, MemberChange, Message } from '../types.js';
import type { Call } from './call.js';
import type { Connected } from './connection.js';
import { failure } from './failure.js';
import type { GoEasyMember, GoEasyMessage, PresenceEvent } from './types.js';

/** Says that a message is for those who are away, too. */
export const later = 'goeasy-qos';

/** A `subscribe`. */
export interface Reading {
  readonly isMember: boolean;
  readonly onMessage: (message: GoEasyMessage) => void;
}

/** A `subscribePresence`. */
export interface Watching {
  readonly limit: number;
  readonly onPresence: (event: PresenceEvent) => void;
}

interface Wish {
  readonly call: Call;
  readonly reading?: Reading;
  readonly watching?: Watching;
}

interface Place {
  readonly epoch: string;
  readonly offset: number;
}

/** A channel that is read or watched or both, over one handle, which is opened anew when more is wanted of it. */
export class Room {
  /** What was asked for, the latest last: it counts, and those before it come back if it fails. */
  private wishes: Wish[] = [];
  private channel: Channel | undefined;
  private isDurable = false;
  private presence: 'none' | 'watch' | 'join' = 'none';
  private stands = false;
  private isOver = false;
  /** Messages up to here were stored before this page or process read the channel. */
  private since: Place | undefined;
  private last: Place | undefined;
  /** The members that were told. */
  private known: Map<string, unknown> | undefined;

  constructor(
    private readonly connected: Connected,
    readonly name: string,
    private readonly onEmpty: () => void,
  ) {}

  /** Reads or watches from now on. */
  ask(call: Call, wish: { readonly reading: Reading } | { readonly watching: Watching }): void {
    call.add(this);
    this.wishes.push({ call, ...wish });
    this.adjust();
  }

  /** Whether the latest `subscribe` made this client a member. */
  get isMember(): boolean {
    return this.latest('reading')?.reading?.isMember === true;
  }

  /** Ends reading or watching; tells whether there was any. Who does not read any more has nothing kept. */
  end(kind: 'reading' | 'watching'): boolean {
    const gone = this.wishes.filter((wish) => wish[kind]);
    this.wishes = this.wishes.filter((wish) => !wish[kind]);
    if (gone.length > 0) this.adjust(kind === 'reading');
    for (const { call } of gone) call.fail(failure(408, `channel[${this.name}] was unsubscribed before it was subscribed`));
    return gone.length > 0;
  }

  /** The connection has ended: returns the calls that wait. */
  clear(): Call[] {
    this.isOver = true;
    return this.wishes.splice(0).map(({ call }) => call);
  }

  /** A call is done: it takes the place of those before it. Or it failed: those before it are back. */
  onEnded(call: Call): void {
    const own = this.wishes.find((wish) => wish.call === call);
    if (!own) return;
    const kind = own.reading ? 'reading' : 'watching';
    const isReplaced = (wish: Wish): boolean => wish[kind] !== undefined && this.wishes.indexOf(wish) < this.wishes.indexOf(own);
    const gone = this.wishes.filter(call.state === 'failed' ? (wish) => wish === own : isReplaced);
    this.wishes = this.wishes.filter((wish) => !gone.includes(wish));
    if (call.state === 'failed') this.adjust();
    else for (const replaced of gone) replaced.call.stands(this);
  }

  /** Opens the handle, opens it anew, or leaves it, where what is wanted is not what there is. */
  private adjust(isForgotten = false): void {
    const reading = this.latest('reading');
    const isDurable = reading !== undefined && this.connected.id !== undefined;
    const presence = this.isMember ? 'join' : this.latest('watching') ? 'watch' : 'none';
    const fits = this.isDurable === isDurable && (this.presence === presence || (this.presence === 'watch' && presence === 'none'));
    if (this.channel && fits && this.wishes.length > 0) return void Promise.resolve().then(() => this.tell());
    this.channel?.leave({ forget: isForgotten && this.isDurable });
    this.channel = undefined;
    this.stands = false;
    if (this.wishes.length === 0) return this.onEmpty();
    if (this.isDurable !== isDurable) this.since = this.last = undefined;
    if (presence === 'none') this.known = undefined;
    this.isDurable = isDurable;
    this.presence = presence;
    this.open();
  }

  private open(): void {
    const { isDurable, presence } = this;
    const { client, data } = this.connected;
    const channel = client.channel(this.name, { durable: isDurable, presence, ...(presence === 'join' && data ? { state: data } : {}) });
    this.channel = channel;
    channel.on('message', (message) => this.onMessage(message));
    channel.on('subscribed', ({ epoch, head }) => {
      this.since ??= { epoch, offset: head };
      this.stands = true;
      this.tell();
    });
    channel.on('error', (error) => this.onRefused(error));
    if (presence !== 'none') channel.presence.on('change', (changes, info) => this.onChange(channel, changes, info));
  }

  private tell(): void {
    if (this.stands) for (const { call } of [...this.wishes]) call.stands(this);
  }

  /** Takes back what was asked for last, and goes on with what was before it. */
  private onRefused(error: unknown): void {
    this.channel = undefined;
    this.stands = false;
    const open = this.wishes.filter(({ call }) => call.state === 'open');
    if (open.length > 0) return open[open.length - 1]!.call.fail(error);
    // It stood. If the connection ends with it, that is told there; else the server has ended it, which is reported.
    void Promise.resolve().then(() => {
      if (this.isOver || this.channel) return;
      this.wishes = [];
      this.onEmpty();
      throw error;
    });
  }

  private onMessage(message: Message): void {
    const { epoch, offset, time, replayed, headers } = message;
    const isUpTo = (place: Place | undefined): boolean => place !== undefined && place.epoch === epoch && offset !== undefined && offset <= place.offset;
    // A handle that was opened anew begins with what was not acknowledged yet.
    if (isUpTo(this.last)) return;
    if (offset !== undefined) this.last = { epoch, offset };
    if (replayed && isUpTo(this.since) && !(this.isDurable && headers[later] === '1')) return;
    this.serving('reading')?.reading?.onMessage({ time, channel: this.name, content: contentOf(message) });
  }

  private onChange(channel: Channel, changes: readonly MemberChange[], { snapshot, count }: PresenceInfo): void {
    const { list } = channel.presence.source.current;
    const happened = snapshot ? this.difference(list) : changes.filter(({ event }) => event !== 'update');
    this.known = list && new Map(list.map(({ user, state }) => [user, state]));
    const watching = this.serving('watching')?.watching;
    if (!watching) return;
    const members = newest(list ?? [], watching.limit);
    const time = this.connected.wall();
    for (const { event, user, state } of happened) {
      const member = { id: user, data: state ?? {} };
      watching.onPresence({
        channel: this.name, action: event, member, time, amount: count, members, clientAmount: count, userAmount: count,
        events: [{ time, action: earlierName(event), ...member }],
      });
    }
  }

  /** What a new look at the members shows beside those that are known. */
  private difference(list: readonly Member[] | undefined): MemberChange[] {
    const { known } = this;
    if (!known || !list) return [];
    const left = new Map(known);
    const joined = list.filter(({ user }) => !left.delete(user));
    return [
      ...[...left].map(([user, state]) => ({ event: 'leave', user, state }) as const),
      ...joined.map(({ user, state }) => ({ event: 'join', user, state }) as const),
    ];
  }

  private latest(kind: 'reading' | 'watching'): Wish | undefined {
    const all = this.wishes.filter((wish) => wish[kind]);
    return all[all.length - 1];
  }

  /** Whose handler is called: the latest that stands, if one does. */
  private serving(kind: 'reading' | 'watching'): Wish | undefined {
    const standing = this.wishes.filter((wish) => wish[kind] && wish.call.state === 'done');
    return standing[standing.length - 1] ?? this.latest(kind);
  }
}

/** The newest members first. */
export function newest(members: readonly Member[], limit: number): GoEasyMember[] {
  const sorted = [...members].sort((a, b) => b.since - a.since);
  return sorted.slice(0, limit).map(({ user, state }) => ({ id: user, data: state ?? {} }));
}

/** GoEasy knows texts only: values come as JSON, bytes as the text they are in UTF-8. */
export function contentOf(message: Pick<Message, 'data' | 'text' | 'bytes'>): string {
  if (message.text !== undefined) return message.text;
  if (message.bytes) return readUtf8(message.bytes, 0, message.bytes.length);
  return JSON.stringify(message.data);
}

/** The earlier generation's name of what happened: who came back is online again, who vanished is offline. */
function earlierName(event: MemberChange['event']): string {
  return event === 'back' ? 'online' : event === 'timeout' ? 'offline' : event;
}
