import { utf8Length } from '../core/utf8.js';
import { MoorlineError } from '../errors.js';
import { describe } from '../payload.js';
import type { Receipt } from '../receipt.js';
import { Call } from './call.js';
import { channelOf, channelsOf, within } from './check.js';
import type { Connected, Connection } from './connection.js';
import { begin, failure, failureOf, ok } from './failure.js';
import { contentOf, later } from './room.js';
import type { Rooms } from './rooms.js';
import type { HistoryOptions, PublishOptions, SubscribeOptions, UnsubscribeOptions } from './types.js';

/** Publishing, subscribing and the past. */
export class PubSub {
  /** Publishes that an earlier client left in its store, by what it keeps and by their ids: the next one says what becomes of them. */
  private readonly kept = new Map<string, Map<string, PublishOptions>>();

  constructor(
    private readonly connection: Connection,
    private readonly rooms: Rooms,
  ) {}

  /** A client has begun: goes on with what an earlier one left. */
  onBegun(connected: Connected): void {
    const { client, keeps = '' } = connected;
    const kept = this.kept.get(keeps);
    this.kept.delete(keeps);
    if (!kept) return;
    for (const receipt of client.restored) {
      const options = kept.get(receipt.id);
      if (kept.delete(receipt.id)) this.follow(connected, receipt, options!);
    }
    const lost = failureOf(new MoorlineError('publish.uncertain', 'the store does not have the message any more: whether it was stored cannot be known'));
    for (const { onFailed } of kept.values()) onFailed?.(lost);
  }

  publish(options: PublishOptions): void {
    begin(options, () => {
      const channel = channelOf(options.channel);
      const { message, qos = 0, notification } = options;
      if (typeof message !== 'string') throw failure(400, 'TypeError: message must be a string.');
      if (message === '') throw failure(400, 'message is empty.');
      if (qos !== -1 && qos !== 0 && qos !== 1) throw failure(400, 'qos has invalid value.');
      refuse(options, 'wxmpTemplateMsg', 'template messages are sent by your own server; tell it by a webhook (message.offline)');
      refuse(options, 'accessToken', 'what a client may do stands in its token: pass it to getInstance as `token`');
      const connected = this.connection.use();
      const headers = { ...(qos === 1 ? { [later]: '1' } : {}), ...headerOf(notification) };
      this.follow(connected, connected.client.channel(channel).publish(message, { headers }), options);
    });
  }

  subscribe(options: SubscribeOptions): void {
    begin(options, () => {
      const names = channelsOf(options);
      const { onMessage, presence } = options;
      if (typeof onMessage !== 'function') throw failure(400, `onMessage: a function, not ${describe(onMessage)}.`);
      refuse(options, 'accessToken', 'what a client may do stands in its token: pass it to getInstance as `token`');
      const { id, everyoneIsMember } = this.connection.use();
      if (presence?.enable && id === undefined) {
        throw failure(400, 'If presence is enable, the id must be specified when calling the connect method');
      }
      const call = new Call(() => options.onSuccess?.(ok), options.onFailed);
      for (const room of names.map((name) => this.rooms.of(name))) {
        const isMember = presence ? presence.enable === true : room.isMember || (everyoneIsMember && id !== undefined);
        room.ask(call, { reading: { isMember, onMessage } });
      }
    });
  }

  unsubscribe(options: UnsubscribeOptions): void {
    begin(options, () => {
      const name = channelOf(options.channel);
      this.connection.use();
      if (!this.rooms.find(name)?.end('reading')) throw failure(400, `channel[${name}] is not subscribed`);
      return () => options.onSuccess?.(ok);
    });
  }

  history(options: HistoryOptions): void {
    begin(options, () => {
      const name = channelOf(options.channel);
      const limit = within(options.limit, 'limit', 10, 30);
      const { end } = options;
      const start = options.start ?? 0;
      const { client } = this.connection.use();
      const asked = client.channel(name).history({ limit, ...(end === undefined || end === null ? {} : { before: { time: end + 1 } }) });
      this.connection.ask(asked, options, ({ messages }) => {
        const found = messages.filter(({ time }) => time >= start).map((message) => ({ time: message.time, content: contentOf(message) }));
        options.onSuccess?.({ code: 200, content: { messages: found } });
      });
    });
  }

  private follow(connected: Connected, receipt: Receipt, options: PublishOptions): void {
    const failed = (error: unknown): void => {
      const { keeps } = connected;
      if (keeps === undefined || !receipt.isKept || receipt.state === 'uncertain') return options.onFailed?.(failureOf(error));
      const kept = this.kept.get(keeps) ?? new Map<string, PublishOptions>();
      this.kept.set(keeps, kept.set(receipt.id, options));
    };
    receipt.stored.then(() => options.onSuccess?.(ok), failed);
  }
}

function refuse(options: object, name: string, instead: string): void {
  if ((options as Record<string, unknown>)[name] !== undefined) throw failure(400, `${name} is not there with Moorline: ${instead}.`);
}

function headerOf(notification: unknown): { readonly [name: string]: string } {
  if (notification === undefined) return {};
  const text = JSON.stringify(notification);
  if (utf8Length(text) > 900) throw failure(400, 'notification: at most 900 bytes of JSON.');
  return { 'goeasy-notification': text };
}
