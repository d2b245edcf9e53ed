import type { MoorlineError } from '../errors.js';
import type { HostSignal } from '../host/host.js';
import type { Payload } from '../payload.js';
import type { Position, Since } from '../types.js';
import type { Writer } from './writer.js';

/** A call, as it is written into a batch. */
export type Call = (to: Writer) => void;

export interface SubscribeCall {
  readonly since: Since | undefined;
  readonly reset: 'first' | 'live' | undefined;
  readonly qos: number | undefined;
  readonly durable: boolean | undefined;
  readonly presence: (typeof modes)[number] | undefined;
  readonly state: Uint8Array | undefined;
}

export interface PublishCall {
  readonly qos: number | undefined;
  readonly id: string;
  readonly ttl: number | undefined;
  readonly headers: readonly (readonly [string, string])[];
}

/** What `presence` and `since` may say, as they are numbered. */
export const modes = ['none', 'watch', 'join'] as const;
export const starts = ['resume', 'live', 'cursor', 'first'] as const;

export type Range = readonly [kind: number, at?: number];

export const connect: Call = (to) => to.byte(1);
export const disconnect: Call = (to) => to.byte(2);
export const close = (wipe: boolean): Call => (to) => to.byte(3).flag(wipe);
export const unsubscribe = (id: number, forget: boolean): Call => (to) => to.byte(5).number(id).flag(forget);
export const consumed = (id: number, count: number): Call => (to) => to.byte(6).number(id).number(count);
export const ack = (id: number, at: Position): Call => (to) => to.byte(7).number(id).text(at.epoch).number(at.offset);
export const present = (channel: string): Call => (to) => to.byte(16).text(channel);
export const blackbox: Call = (to) => to.byte(17);
export const restored: Call = (to) => to.byte(18);
export const stats: Call = (to) => to.byte(19);
export const position = (channel: string): Call => (to) => to.byte(20).text(channel);
export const timeout: Call = (to) => to.byte(21);
export const opened = (id: number): Call => (to) => to.byte(32).number(id);
export const message = (id: number, bytes: Uint8Array): Call => (to) => to.byte(33).number(id).blob(bytes);
export const activity = (id: number): Call => (to) => to.byte(34).number(id);
export const buffered = (id: number, bytes: number): Call => (to) => to.byte(35).number(id).number(bytes);
export const noToken: Call = (to) => to.byte(38).flag(false);
export const token = (text: string): Call => (to) => to.byte(38).flag(true).text(text);
export const tokenFailed = (error: MoorlineError): Call => (to) => failure(to.byte(39), error);
export const persisted = (ticket: number): Call => (to) => to.byte(40).number(ticket).byte(0);
export const closed = (id: number, code: number | undefined): Call => (to) =>
  to.byte(36).number(id).maybe(code, (out, value) => out.number(value));
export const failed = (id: number, error: MoorlineError): Call => (to) => failure(to.byte(37).number(id), error);

export function notPersisted(ticket: number, kind: StoreFailureKind, why: string): Call {
  return (to) => {
    to.byte(40).number(ticket).byte(kinds.indexOf(kind));
    if (kind === 'uncertain' || kind === 'io') to.text(why);
  };
}

export type StoreFailureKind = 'full' | 'locked' | 'uncertain' | 'io';
const kinds: readonly (StoreFailureKind | '')[] = ['', 'full', 'locked', 'uncertain', 'io'];

export const signals: readonly HostSignal[] = ['online', 'offline', 'foreground', 'background', 'wake'];

export function host(signal: HostSignal | { readonly network: number }): Call {
  return (to) => {
    if (typeof signal === 'string') to.byte(41).byte(signals.indexOf(signal));
    else to.byte(41).byte(signals.length).number(signal.network);
  };
}

export function subscribe(channel: string, options: SubscribeCall): Call {
  return (to) =>
    to
      .byte(4)
      .text(channel)
      .maybe(options.since, since)
      .maybe(options.reset, (out, reset) => out.flag(reset === 'live'))
      .maybe(options.qos, (out, qos) => out.byte(qos))
      .maybe(options.durable, (out, durable) => out.flag(durable))
      .maybe(undefined, () => undefined)
      .maybe(options.presence, (out, mode) => out.byte(modes.indexOf(mode)))
      .maybe(options.state, (out, state) => out.blob(state));
}

function since(to: Writer, value: Since): void {
  if (typeof value === 'string') to.byte(starts.indexOf(value));
  else if ('last' in value) to.byte(4).number(value.last);
  else if ('offset' in value) to.byte(5).text(value.epoch).number(value.offset);
  else to.byte(6).number(Number(value.time));
}

export function publish(channel: string, payload: Payload, options: PublishCall): Call {
  return (to) =>
    to
      .byte(8)
      .text(channel)
      .byte(payload.kind)
      .blob(payload.bytes)
      .maybe(options.qos, (out, qos) => out.byte(qos))
      .maybe(options.id, (out, id) => out.text(id))
      .maybe(options.ttl, (out, ttl) => out.number(ttl))
      .list(options.headers, (out, header) => out.text(header[0]).text(header[1]));
}

export function history(channel: string, range: Range, limit: number | undefined): Call {
  return (to) => {
    to.byte(9).text(channel).byte(range[0]);
    if (range[1] !== undefined) to.number(range[1]);
    to.maybe(limit, (out, value) => out.number(value));
  };
}

export interface CallCall {
  readonly timeout: number | undefined;
  readonly id: string | undefined;
}

export function call(method: string, payload: Payload, options: CallCall): Call {
  return (to) =>
    to
      .byte(22)
      .text(method)
      .byte(payload.kind)
      .blob(payload.bytes)
      .maybe(options.timeout, (out, ms) => out.number(ms))
      .maybe(options.id, (out, id) => out.text(id));
}

export function presence(op: 'enter' | 'update' | 'leave', channel: string, state: Uint8Array | undefined): Call {
  return (to) =>
    to.byte(10 + ['enter', 'update', 'leave'].indexOf(op)).text(channel).maybe(state, (out, bytes) => out.blob(bytes));
}

export function members(channel: string, cursor: string | undefined): Call {
  return (to) => to.byte(13).text(channel).maybe(cursor, (out, text) => out.text(text));
}

export const status = (users: readonly string[]): Call => (to) =>
  to.byte(14).list(users, (out, user) => out.text(user));
export const watchStatus = (users: readonly string[]): Call => (to) =>
  to.byte(15).list(users, (out, user) => out.text(user));

function failure(to: Writer, error: MoorlineError): void {
  to.number(error.number);
  if (error.number === 0) to.text(error.code);
  to.text(error.message).byte(['client', 'server', 'transport'].indexOf(error.origin));
}
