import { checkChannel } from '../options.js';
import { describe } from '../payload.js';
import { failure } from './failure.js';
import type { ChannelKey, ConnectOptions, GoEasyOptions } from './types.js';

/** A channel's name. Throws what GoEasy says of a bad one. */
export function channelOf(channel: unknown): string {
  if (typeof channel === 'number') return String(channel);
  if (typeof channel !== 'string' || channel === '') throw failure(400, `channel: a string or a number, not ${describe(channel)}.`);
  checkChannel(channel);
  return channel;
}

/** The channels of a call that takes one or several. */
export function channelsOf(options: { readonly channel?: ChannelKey; readonly channels?: readonly ChannelKey[] }): string[] {
  const { channel, channels } = options;
  if ((channel === undefined) === (channels === undefined)) throw failure(400, 'channel or channels: one of the two.');
  if (channels === undefined) return [channelOf(channel)];
  if (!Array.isArray(channels) || channels.length === 0 || channels.length > 100) throw failure(400, 'channels: an array of 1 to 100.');
  const names = channels.map(channelOf);
  if (new Set(names).size !== names.length) throw failure(400, 'channels: each one once.');
  return names;
}

export function within(value: number | undefined, name: string, fallback: number, most: number): number {
  if (value === undefined) return fallback;
  if (!Number.isInteger(value) || value < 1 || value > most) throw failure(400, `${name}: a whole number of 1 to ${most}.`);
  return value;
}

export function checkConnect(options: ConnectOptions): void {
  if (typeof options !== 'object' || options === null) throw failure(400, 'connect: pass an object with onSuccess and onFailed.');
  const { id, data } = options;
  if (id !== undefined && typeof id !== 'string') throw failure(400, 'TypeError: id must be a string.');
  if (id === '' || (id && id.length > 60)) throw failure(400, 'id: 1 to 60 characters.');
  if (data !== undefined && (typeof data !== 'object' || data === null)) throw failure(400, 'TypeError: data must be an object.');
  if (data !== undefined && JSON.stringify(data).length > 300) throw failure(400, 'data: at most 300 characters of JSON.');
  if ((options as { wxmpId?: unknown }).wxmpId !== undefined) {
    throw failure(400, 'wxmpId: template messages are sent by your own server; tell it by a webhook (message.offline).');
  }
}

/** The URL of the server. Throws what is wrong with the options. */
export function urlOf(options: GoEasyOptions): string {
  if (typeof options !== 'object' || options === null) throw failure(400, 'getInstance: pass an object with host, appkey and modules.');
  const { host, appkey, modules, forceTLS } = options;
  if (typeof host !== 'string' || host === '') throw failure(400, 'host: the address of your Moorline server, such as chat.example.com.');
  if (/(^|\.)goeasy\.io$/i.test(host)) throw failure(400, 'host: the address of your Moorline server, not one of GoEasy.');
  if (typeof appkey !== 'string' || appkey === '') throw failure(400, 'appkey: the name of the app on your Moorline server, such as default.');
  if (!Array.isArray(modules) || modules.length === 0) throw failure(400, "modules: ['pubsub'].");
  for (const name of modules as unknown[]) {
    if (typeof name !== 'string' || !['PUBSUB', 'IM'].includes(name.toUpperCase())) throw failure(400, `modules: there is no ${typeof name === 'string' ? name : describe(name)}.`);
  }
  if (/^wss?:\/\//i.test(host)) return host;
  return `${forceTLS === false ? 'ws' : 'wss'}://${host.replace(/\/+$/, '')}/ws/${appkey}`;
}
