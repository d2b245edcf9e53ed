import { Call } from './call.js';
import { channelOf, channelsOf, within } from './check.js';
import type { Connection } from './connection.js';
import { begin, failure, ok } from './failure.js';
import { newest } from './room.js';
import type { Rooms } from './rooms.js';
import type { HereNow, HereNowChannels, HereNowOptions, SubscribePresenceOptions, UnsubscribeOptions } from './types.js';

/** Who is in a channel. */
export class PubSubPresence {
  constructor(
    private readonly connection: Connection,
    private readonly rooms: Rooms,
  ) {}

  subscribePresence(options: SubscribePresenceOptions): void {
    begin(options, () => {
      const names = channelsOf(options);
      const limit = within(options.membersLimit, 'membersLimit', 10, 100);
      const { onPresence } = options;
      if (typeof onPresence !== 'function') throw failure(400, 'onPresence: a function.');
      this.connection.use();
      const done = options.onSuccess as ((result?: object) => void) | undefined;
      const call = new Call(() => done?.(options.channels ? ok : undefined), options.onFailed);
      for (const name of names) this.rooms.of(name).ask(call, { watching: { limit, onPresence } });
    });
  }

  unsubscribePresence(options: UnsubscribeOptions): void {
    begin(options, () => {
      const name = channelOf(options.channel);
      this.connection.use();
      this.rooms.find(name)?.end('watching');
      return options.onSuccess as (() => void) | undefined;
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
}

function earlier(found: readonly HereNow[], isNamed: boolean): HereNowChannels {
  const channels: Record<string, HereNowChannels['channels'][string]> = {};
  for (const { channel, amount, members } of found) {
    channels[channel] = { channel, clientAmount: amount, userAmount: amount, ...(isNamed ? { users: members } : {}) };
  }
  return { channels };
}
