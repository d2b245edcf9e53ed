import { MoorlineError } from '../errors.js';
import type { StoreBatch } from '../host/host.js';
import type {
  ConnectionState,
  HistoryPage,
  Member,
  MemberChange,
  MembersPage,
  Message,
  Position,
  Reset,
  StateReason,
  Status,
  Subscribed,
} from '../types.js';
import type { Reader } from './reader.js';

/** How a publish ended. */
export type Outcome =
  | { readonly kind: 'sent' | 'uncertain' }
  | { readonly kind: 'stored'; readonly epoch: string; readonly offset: number | undefined; readonly duplicate: boolean }
  | { readonly kind: 'failed' | 'kept'; readonly error: MoorlineError };

export interface PresenceChanged {
  readonly count: number;
  readonly listed: boolean;
  readonly snapshot: boolean;
  readonly changes: readonly MemberChange[];
}

/** What the driver does for the core. */
export interface Doer {
  open(transport: number, url: string): void;
  send(transport: number, bytes: Uint8Array): void;
  close(transport: number, code: number): void;
  needToken(reason: TokenReason): void;
  persist(ticket: number, batch: StoreBatch): void;
}

/** What a reader of a channel is told. */
export type ReaderEvent =
  | readonly [name: 'subscribed', subscribed: Subscribed]
  | readonly [name: 'message', message: Message, bytes: number]
  | readonly [name: 'reset', reset: Reset]
  | readonly [name: 'dropped', count: number]
  | readonly [name: 'ended', error: MoorlineError]
  | readonly [name: 'acked', position: Position]
  | readonly [name: 'presence', changed: PresenceChanged];

/** What the client is told. */
export interface Listener {
  onState(state: ConnectionState, reason: StateReason): void;
  onWelcome(user: string | undefined): void;
  onReaders(readers: number[], event: ReaderEvent): void;
  onQueued(publish: number): void;
  onSent(publish: number): void;
  onSettled(publish: number, outcome: Outcome): void;
  onAnswer(request: number, answer: HistoryPage | MembersPage | Called | Map<string, Status> | MoorlineError): void;
  onStatus(users: Map<string, Status>): void;
  onStatusEnded(error: MoorlineError): void;
  onClosed(error: MoorlineError | undefined): void;
}

/** Why a token is needed: for the first connection, because it expires soon, because the server refused it. */
export type TokenReason = 'connect' | 'expiring' | 'refused';

export const states: readonly ConnectionState[] = ['idle', 'connecting', 'online', 'recovering', 'closed'];
const reasons: readonly StateReason['kind'][] = [
  'requested', 'welcome', 'transport-closed', 'transport-failed', 'silent', 'connect-timeout', 'unanswered', 'goaway',
  'reattach', 'offline', 'token', 'refused', 'protocol-violation', 'store',
];
const changes: readonly MemberChange['event'][] = ['join', 'leave', 'timeout', 'back', 'update'];

/** Takes one record, and does or tells what it says. Answers to calls are read by who asked. */
export function take(from: Reader, doer: Doer, listener: Listener): void {
  const tag = from.byte();
  switch (tag) {
    case 16: return doer.open(from.number(), from.text());
    case 17: return doer.send(from.number(), from.blob());
    case 18: return doer.close(from.number(), from.number());
    case 19: return doer.needToken((['connect', 'expiring', 'refused'] as const)[from.byte()]!);
    case 20: return doer.persist(from.number(), batch(from));
    case 32: return listener.onState(states[from.byte()]!, stateReason(from));
    case 33: return listener.onWelcome(from.maybe(text));
    case 34: return listener.onReaders(readers(from), ['subscribed', subscribed(from)]);
    case 35: {
      const [to, before] = [readers(from), from.left];
      const message = messageOf(from, from.again(0), from.again(1), from.byte());
      return listener.onReaders(to, ['message', message, before - from.left]);
    }
    case 36: return listener.onReaders(readers(from), ['reset', reset(from)]);
    case 37: return listener.onReaders(readers(from), ['dropped', from.number()]);
    case 38: return listener.onReaders(readers(from), ['ended', from.failure()]);
    case 39: return listener.onReaders(readers(from), ['acked', position(from)]);
    case 40: return listener.onQueued(from.number());
    case 41: return listener.onSent(from.number());
    case 42: return listener.onSettled(from.number(), outcome(from));
    case 43: return listener.onAnswer(from.number(), from.result(history));
    case 44: return listener.onReaders(readers(from), ['presence', presenceChanged(from)]);
    case 45: return listener.onAnswer(from.number(), from.result(membersPage));
    case 46: return listener.onAnswer(from.number(), from.result(statuses));
    case 47: return listener.onStatus(statuses(from));
    case 48: return listener.onStatusEnded(from.failure());
    case 49: return listener.onClosed(from.result(() => undefined));
    case 50: return listener.onAnswer(from.number(), from.result(called));
    default: throw new Error(`the core said ${tag}`);
  }
}

const text = (from: Reader): string => from.text();
const readers = (from: Reader): number[] => from.list((reader) => reader.number());

export function position(from: Reader): Position {
  return { epoch: from.text(), offset: from.number() };
}

function batch(from: Reader): StoreBatch {
  return { clear: from.flag(), deletes: from.list(text), puts: from.list((put) => [put.text(), put.blob()] as const) };
}

function stateReason(from: Reader): StateReason {
  const kind = reasons[from.byte()]!;
  if (kind === 'transport-closed') {
    const code = from.aboveZero();
    return code === undefined ? { kind } : { kind, code };
  }
  const error = from.maybe((reader) => reader.failure());
  return error ? { kind, error } : { kind };
}

function subscribed(from: Reader): Subscribed {
  const head = position(from);
  return { epoch: head.epoch, head: head.offset, from: from.number(), replay: from.flag() };
}

function reset(from: Reader): Reset {
  const reason = from.flag() ? 'epoch' : 'trimmed';
  return { reason, epoch: from.text(), first: from.number(), head: from.number(), from: from.number() };
}

/** Field by field, which costs less than putting parts together: most of what is received is this. */
function messageOf(from: Reader, channel: string, epoch: string, flags: number): Message {
  const offset = from.aboveZero();
  const message = { channel, id: from.text(), epoch } as { -readonly [Name in keyof Message]: Message[Name] };
  if (offset !== undefined) message.offset = offset;
  if (from.flag()) message.user = from.again(2);
  message.time = from.number();
  message.replayed = (flags & 1) !== 0;
  message.redelivered = (flags & 2) !== 0;
  const headers: Record<string, string> = {};
  for (let left = from.number(); left > 0; left--) headers[from.text()] = from.text();
  message.headers = headers;
  content(from, message);
  return message;
}

/** What a message carries. */
interface Content {
  data?: unknown;
  text?: string;
  bytes?: Uint8Array;
}

function content(from: Reader, into: Content): Content {
  const kind = from.byte();
  if (kind === 2) into.bytes = from.blob();
  else if (kind === 1) into.text = from.text();
  else into.data = JSON.parse(from.text());
  return into;
}

/** What a backend answered; in an object, since it may be anything. */
export interface Called {
  readonly answer: unknown;
}

function called(from: Reader): Called {
  const { data, text, bytes } = content(from, {});
  return { answer: bytes ?? text ?? data };
}

/** A page, but for the channel's name, which who asked knows. */
function history(from: Reader): HistoryPage {
  const epoch = from.text();
  const [first, head, more] = [from.number(), from.number(), from.flag()];
  return { epoch, first, head, more, messages: from.list((reader) => messageOf(reader, '', epoch, 1)) };
}

function outcome(from: Reader): Outcome {
  switch (from.byte()) {
    case 0: return { kind: 'sent' };
    case 1: return { kind: 'stored', epoch: from.text(), offset: from.aboveZero(), duplicate: from.flag() };
    case 2: return { kind: 'failed', error: from.failure() };
    case 3: return { kind: 'kept', error: from.failure() };
    default: return { kind: 'uncertain' };
  }
}

function state(from: Reader): { state?: unknown } {
  return from.flag() ? { state: JSON.parse(from.text()) as unknown } : {};
}

export function members(from: Reader): Member[] {
  return from.list((reader) => ({ user: reader.text(), ...state(reader), since: reader.number() }));
}

function membersPage(from: Reader): MembersPage {
  const [count, list] = [from.number(), members(from)];
  const cursor = from.maybe(text);
  return { count, members: list, ...(cursor === undefined ? {} : { cursor }) };
}

function presenceChanged(from: Reader): PresenceChanged {
  return {
    count: from.number(),
    listed: from.flag(),
    snapshot: from.flag(),
    changes: from.list((reader) => ({ event: changes[reader.byte() - 1]!, user: reader.text(), ...state(reader) })),
  };
}

export function statuses(from: Reader): Map<string, Status> {
  const users = new Map<string, Status>();
  for (let left = from.number(); left > 0; left--) {
    const user = from.text();
    const online = from.flag();
    const since = from.aboveZero();
    users.set(user, since === undefined ? { online } : { online, since });
  }
  return users;
}

