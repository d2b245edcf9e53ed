import type { Channel } from '../channel.js';
import { readUtf8, utf8Length } from '../core/utf8.js';
import { describe } from '../payload.js';
import type { Message } from '../types.js';
import { channelOf, channelsOf, within } from './check.js';
import type { Connection } from './connection.js';
import { begin, failure, failureOf, ok } from './failure.js';
import type { GoEasyMessage, HistoryOptions, PublishOptions, SubscribeOptions, UnsubscribeOptions } from './types.js';

/** Says that a message is for those who are away, too. */
const later = 'goeasy-qos';

interface Subscription {
  channel: Channel;
  onMessage: (message: GoEasyMessage) => void;
}

/** Publishing, subscribing and the past. */
export class PubSub {
  private readonly subscriptions = new Map<string, Subscription>();

  constructor(private readonly connection: Connection) {}

  /** Forgets what was subscribed: the connection has ended. */
  clear(): void {
    this.subscriptions.clear();
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
      const { client } = this.connection.use();
      const headers = { ...(qos === 1 ? { [later]: '1' } : {}), ...headerOf(notification) };
      const receipt = client.channel(channel).publish(message, { headers });
      receipt.stored.then(() => options.onSuccess?.(ok), (error) => options.onFailed?.(failureOf(error)));
    });
  }

  subscribe(options: SubscribeOptions): void {
    begin(options, () => {
      const names = channelsOf(options);
      const { onMessage, presence } = options;
      if (typeof onMessage !== 'function') throw failure(400, `onMessage: a function, not ${describe(onMessage)}.`);
      refuse(options, 'accessToken', 'what a client may do stands in its token: pass it to getInstance as `token`');
      const { id } = this.connection.use();
      if (presence?.enable && id === undefined) {
        throw failure(400, 'If presence is enable, the id must be specified when calling the connect method');
      }
      let open = names.length;
      const subscribed = (): void => void (--open === 0 && options.onSuccess?.(ok));
      const refused = (error: unknown): void => {
        if (open <= 0) return;
        open = 0;
        for (const name of names) this.drop(name);
        options.onFailed?.(failureOf(error));
      };
      for (const name of names) this.open(name, presence?.enable === true, onMessage, subscribed, refused);
    });
  }

  unsubscribe(options: UnsubscribeOptions): void {
    begin(options, () => {
      const name = channelOf(options.channel);
      this.connection.use();
      if (!this.drop(name)) throw failure(400, `channel[${name}] is not subscribed`);
      options.onSuccess?.(ok);
    });
  }

  history(options: HistoryOptions): void {
    begin(options, () => {
      const name = channelOf(options.channel);
      const limit = within(options.limit, 'limit', 10, 30);
      const { start = 0, end } = options;
      const { client } = this.connection.use();
      const asked = client.channel(name).history({ limit, ...(end === undefined ? {} : { before: { time: end + 1 } }) });
      this.connection.ask(asked, options, ({ messages }) => {
        const found = messages.filter(({ time }) => time >= start).map((message) => ({ time: message.time, content: contentOf(message) }));
        options.onSuccess?.({ code: 200, content: { messages: found } });
      });
    });
  }

  private open(name: string, isMember: boolean, onMessage: Subscription['onMessage'], subscribed: () => void, refused: (error: unknown) => void): void {
    const { client, id, data } = this.connection.use();
    const before = this.subscriptions.get(name);
    const channel = client.channel(name, {
      durable: id !== undefined,
      ...(isMember ? { presence: 'join', ...(data ? { state: data } : {}) } : {}),
    });
    const subscription = { channel, onMessage };
    this.subscriptions.set(name, subscription);
    // Messages up to here were stored before this page or process read the channel.
    let since: number | undefined;
    channel.on('message', (message) => {
      const isOld = message.replayed && since !== undefined && message.offset !== undefined && message.offset <= since;
      if (isOld && message.headers[later] !== '1') return;
      onMessage({ time: message.time, channel: name, content: contentOf(message) });
    });
    const offError = channel.on('error', (error) => refused(error));
    channel.on('subscribed', ({ head }) => {
      if (since !== undefined) return;
      since = head;
      offError();
      subscribed();
    });
    before?.channel.leave();
  }

  private drop(name: string): boolean {
    this.subscriptions.get(name)?.channel.leave({ forget: true });
    return this.subscriptions.delete(name);
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

/** GoEasy knows texts only: values come as JSON, bytes as the text they are in UTF-8. */
function contentOf(message: Pick<Message, 'data' | 'text' | 'bytes'>): string {
  if (message.text !== undefined) return message.text;
  if (message.bytes) return readUtf8(message.bytes, 0, message.bytes.length);
  return JSON.stringify(message.data);
}
