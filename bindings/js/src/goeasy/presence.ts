import type { Channel } from '../channel.js';
import type { Client } from '../client.js';
import type { Member, MemberChange } from '../types.js';
import { channelOf, channelsOf, within } from './check.js';
import type { Connection } from './connection.js';
import { begin, failure, failureOf, ok } from './failure.js';
import type { ChannelKey, GoEasyMember, HereNow, HereNowChannels, HereNowOptions, SubscribePresenceOptions, UnsubscribeOptions } from './types.js';

/** Who is in a channel. */
export class PubSubPresence {
  private readonly watched = new Map<string, Channel>();

  constructor(
    private readonly connection: Connection,
    private readonly wall: () => number,
  ) {}

  clear(): void {
    this.watched.clear();
  }

  subscribePresence(options: SubscribePresenceOptions): void {
    begin(options, () => {
      const names = channelsOf(options);
      const limit = within(options.membersLimit, 'membersLimit', 10, 100);
      if (typeof options.onPresence !== 'function') throw failure(400, 'onPresence: a function.');
      const { client } = this.connection.use();
      let open = names.length;
      const subscribed = (): void => void (--open === 0 && (options.onSuccess as (result?: object) => void)?.(options.channels ? ok : undefined));
      const refused = (error: unknown): void => {
        if (open <= 0) return;
        open = 0;
        for (const name of names) this.drop(name);
        options.onFailed?.(failureOf(error));
      };
      for (const name of names) this.watch(client, name, limit, options.onPresence, subscribed, refused);
    });
  }

  unsubscribePresence(options: UnsubscribeOptions): void {
    begin(options, () => {
      const name = channelOf(options.channel);
      this.connection.use();
      this.drop(name);
      (options.onSuccess as (() => void) | undefined)?.();
    });
  }

  hereNow(options: HereNowOptions): void {
    begin(options, () => {
      const names = channelsOf(options);
      const limit = within(options.limit, 'limit', 10, 100);
      const { client } = this.connection.use();
      const asked = Promise.all(names.map((name) => client.channel(name).presence.page()));
      this.connection.ask(asked, options, (pages) => {
        const found = pages.map(({ count, members }, at) => ({ channel: names[at]!, amount: count, members: newest(members, limit) }));
        const content = options.channels ? earlier(found, options.includeUsers === true) : found[0]!;
        options.onSuccess?.({ code: 200, content: content as HereNow & HereNowChannels });
      });
    });
  }

  /** Of the earlier generation: which of these users are connected. */
  hereNowByUserIds(options: { readonly userIds: readonly string[] } & Omit<HereNowOptions, 'onSuccess'> & { onSuccess?: (result: object) => void }): void {
    begin(options, () => {
      const { userIds } = options;
      if (!Array.isArray(userIds) || userIds.length === 0) throw failure(400, 'userIds: an array of ids.');
      const { client } = this.connection.use();
      this.connection.ask(client.status(userIds as string[]), options, (status) => {
        const online = (userIds as string[]).filter((id) => status[id]?.online);
        options.onSuccess?.({ code: 200, content: online.map((id) => ({ id, data: {} })) });
      });
    });
  }

  private watch(client: Client, name: string, limit: number, tell: SubscribePresenceOptions['onPresence'], subscribed: () => void, refused: (error: unknown) => void): void {
    const before = this.watched.get(name);
    const channel = client.channel(name, { presence: 'watch' });
    this.watched.set(name, channel);
    const offError = channel.on('error', refused);
    const off = channel.on('subscribed', () => {
      off();
      offError();
      subscribed();
    });
    channel.presence.on('change', (changes, { snapshot, count }) => {
      if (snapshot) return;
      const members = newest(channel.presence.members, limit);
      const time = this.wall();
      for (const { event, user, state } of changes) {
        const member = { id: user, data: state ?? {} };
        const action = event === 'update' ? 'join' : event;
        tell({
          channel: name, action, member, time, amount: count, members, clientAmount: count, userAmount: count,
          events: [{ time, action: earlierName(event), ...member }],
        });
      }
    });
    before?.leave();
  }

  private drop(name: string): void {
    this.watched.get(name)?.leave();
    this.watched.delete(name);
  }
}

function newest(members: readonly Member[], limit: number): GoEasyMember[] {
  const sorted = [...members].sort((a, b) => b.since - a.since);
  return sorted.slice(0, limit).map(({ user, state }) => ({ id: user, data: state ?? {} }));
}

/** The earlier generation's name of what happened: who came back is online again, who vanished is offline. */
function earlierName(event: MemberChange['event']): string {
  return event === 'back' ? 'online' : event === 'timeout' ? 'offline' : event === 'update' ? 'join' : event;
}

function earlier(found: readonly HereNow[], isNamed: boolean): HereNowChannels {
  const channels: Record<string, HereNowChannels['channels'][string]> = {};
  for (const { channel, amount, members } of found) {
    channels[channel] = { channel, clientAmount: amount, userAmount: amount, ...(isNamed ? { users: members } : {}) };
  }
  return { channels };
}

export type { ChannelKey };
