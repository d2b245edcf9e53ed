import { type CallCall, type PublishCall, type SubscribeCall, modes, starts } from './core/calls.js';
import { utf8Length } from './core/utf8.js';
import { type ErrorCode, MoorlineError, malformed } from './errors.js';
import { type Payload, describe, jsonOf, payloadOf } from './payload.js';
import type { Headers, Position, Qos, Since } from './types.js';

/** How a channel is read and published on. What is left out is inherited from other handles on it, or the default. */
export interface ChannelOptions {
  /** The highest level wanted, and the level published at (default 1; 2 if `durable`). */
  readonly qos?: Qos;
  /** Whether the server keeps a cursor for this user, device and channel (default false). */
  readonly durable?: boolean;
  /** Whether members are watched (`'watch'`), or joined (`'join'`) (default `'none'`). */
  readonly presence?: 'none' | 'watch' | 'join';
  /** With `presence: 'join'`: what this member says about itself, at most 4,096 bytes of JSON. */
  readonly state?: unknown;
  /** Where reading begins (default `'resume'`): that of the handle which reads first. Later ones get what comes from then on. */
  readonly since?: Since;
  /** Where reading goes on when `since` cannot be honoured: with the oldest kept (default), or from now. */
  readonly reset?: 'first' | 'live';
  /** With `durable`: whether messages are acknowledged when handlers have returned or the next one is asked for, or by `ack()` (default `'auto'`). */
  readonly ack?: 'auto' | 'manual';
}

/** How a message is published. */
export interface PublishOptions {
  /** The level (default: the channel's, else 1). */
  readonly qos?: Qos;
  /** The message's id, 1 to 128 bytes (default: random). The same id, published again within a day, is stored once. */
  readonly id?: string;
  /** Seconds after which the message may be forgotten, unsent or stored. */
  readonly ttl?: number;
  /** At most 16, at most 1 KiB in all. */
  readonly headers?: Headers;
}

/** How a call is made. */
export interface CallOptions {
  /** ms for which an answer is awaited, 1 to 30,000 (default 10,000). */
  readonly timeout?: number;
  /** Names the call for the backend, 1 to 128 bytes (default: random): by it, the backend can tell that a call is made again. */
  readonly id?: string;
}

/** Bytes of a payload, unless the server says otherwise. */
export const messageBytes = 64 * 1024;

const levels: readonly Qos[] = [0, 1, 2];

/** Half a character, which UTF-8 has no bytes for. */
const torn = /[\ud800-\udfff]/u;

export function checkChannel(name: unknown): void {
  checkName(name, 'channel', 'channel.invalid');
}

export function checkUsers(users: unknown): readonly string[] {
  if (!Array.isArray(users)) throw malformed(`users are an array of names, not ${describe(users)}`);
  for (const user of users) checkName(user, 'user', 'request.malformed');
  if (users.length > 500) throw malformed('at most 500 users at once');
  return users as string[];
}

export function checkSubscribe(options: ChannelOptions): SubscribeCall {
  checkObject(options, 'channel');
  const { qos, durable, presence, since, reset, ack } = options;
  oneOf('qos', qos, levels);
  oneOf('durable', durable, [true, false]);
  oneOf('presence', presence, modes);
  oneOf('reset', reset, ['first', 'live']);
  oneOf('ack', ack, ['auto', 'manual']);
  const state = options.state === undefined ? undefined : stateBytes(options.state);
  if (state && presence !== 'join') throw malformed("`state` goes with `presence: 'join'` only");
  return { since: checkSince(since), reset, qos, durable, presence, state };
}

export function checkPublish(options: PublishOptions, id: string, size: number, fallback: Qos | undefined): PublishCall {
  const { ttl, headers } = options;
  const qos = options.qos ?? fallback;
  oneOf('qos', qos, levels);
  checkId(id);
  if (size > messageBytes) {
    throw new MoorlineError('limit.message', `the message has ${size} bytes; at most ${messageBytes} are allowed`);
  }
  if (ttl !== undefined) whole(ttl, 'ttl', 0, 0xffffffff);
  return { qos, id, ttl, headers: checkHeaders(headers) };
}

export function checkCall(method: unknown, data: unknown, options: CallOptions): [string, Payload, CallCall] {
  checkObject(options, 'call');
  const { timeout, id } = options;
  if (typeof method !== 'string' || !/^[\w.:/-]{1,128}$/.test(method)) throw malformed('a method is 1 to 128 of A-Z, a-z, 0-9 and _.:/-');
  if (timeout !== undefined) whole(timeout, 'timeout', 1, 30_000);
  if (id !== undefined) checkId(id);
  return [method, payloadOf(data, 'what is called with'), { timeout, id }];
}

/** A presence state as JSON. */
export function stateBytes(state: unknown): Uint8Array {
  const bytes = jsonOf(state, 'the presence state');
  if (bytes.length > 4096) throw malformed('a presence state has at most 4,096 bytes');
  return bytes;
}

export function whole(value: unknown, name: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw malformed(`\`${name}\` is a whole number of ${least} to ${most}`);
  }
  return value;
}

export function checkObject(options: unknown, whose: string): void {
  if (typeof options !== 'object' || options === null) throw malformed(`what is said of a ${whose} is an object, not ${describe(options)}`);
}

/** Numbers among a client's options, by their paths; undefined for those that are not given. */
export function checkCounts(options: object, paths: readonly string[]): (number | undefined)[] {
  return paths.map((path) => {
    let value: unknown = options;
    for (const name of path.split('.')) {
      if (value === undefined) break;
      checkObject(value, 'client');
      value = (value as Record<string, unknown>)[name];
    }
    return value === undefined ? undefined : whole(value, path, path.startsWith('outbox') || path === 'backoff.min' ? 0 : 1);
  });
}

export function checkPosition(position: Position): Position {
  checkObject(position, 'position');
  const { epoch, offset } = position;
  if (typeof epoch !== 'string' || !/^[!-~]{1,16}$/.test(epoch)) throw malformed('`epoch` is that of a message');
  return { epoch, offset: whole(offset, 'offset') };
}

export function timeOf(time: unknown): number {
  return whole(time instanceof Date ? time.getTime() : time, 'time');
}

function checkSince(since: Since | undefined): Since | undefined {
  if (typeof since !== 'object' || since === null) return oneOf('since', since, starts);
  if ('last' in since) return { last: whole(since.last, 'last') };
  if ('time' in since) return { time: timeOf(since.time) };
  if ('offset' in since) return checkPosition(since);
  throw malformed('`since` has no { last }, { epoch, offset } or { time }');
}

function checkHeaders(headers: Headers | undefined): [string, string][] {
  if (headers === undefined) return [];
  checkObject(headers, 'header');
  const entries = Object.entries(headers);
  let bytes = 0;
  for (const [name, value] of entries) {
    if (typeof value !== 'string') throw malformed(`the header ${name} is a string, not ${describe(value)}`);
    bytes += utf8Length(name) + utf8Length(value);
  }
  if (entries.length > 16 || bytes > 1024 || '' in headers) {
    throw malformed('at most 16 headers with 1 KiB in all, each name once and not empty');
  }
  return entries;
}

export function oneOf<T>(name: string, value: T, allowed: readonly unknown[]): T {
  if (value !== undefined && !allowed.includes(value)) throw malformed(`\`${name}\` is one of ${allowed.join(', ')}`);
  return value;
}

function checkId(id: unknown): void {
  if (typeof id !== 'string' || id === '' || utf8Length(id) > 128 || torn.test(id)) throw malformed('an id is a string of 1 to 128 bytes');
}

function checkName(name: unknown, whose: string, code: ErrorCode): void {
  if (typeof name !== 'string') throw new MoorlineError(code, `a ${whose} name is a string, not ${describe(name)}`);
  if (name === '' || utf8Length(name) > 128 || /[\u0000-\u001f\u007f-\u009f*]/.test(name) || torn.test(name)) {
    throw new MoorlineError(code, `a ${whose} name is 1 to 128 bytes of UTF-8 without control characters and without '*'`);
  }
}
