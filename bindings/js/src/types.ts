import type { MoorlineError } from './errors.js';

/** How sure a delivery is: 0 at most once and live only, 1 at least once, 2 stored once and handed out once. */
export type Qos = 0 | 1 | 2;

/** A place in a channel's log. Offsets only mean something together with their epoch. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/**
 * Where reading begins.
 * - `'resume'`: after this client's last position if it has one, else after the durable cursor if `durable`, else from now
 * - `'live'`: from now
 * - `'cursor'`: after the durable cursor
 * - `'first'`: with everything kept
 * - `{ last }`: with the newest so many messages
 * - `{ epoch, offset }`: after a position that the app keeps
 * - `{ time }`: with everything stored at or after this time (a `Date`, or ms since 1970)
 */
export type Since =
  | 'resume'
  | 'live'
  | 'cursor'
  | 'first'
  | { readonly last: number }
  | Position
  | { readonly time: number | Date };

/** A value that JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined };

/** Headers of a message: at most 16, at most 1 KiB in all. */
export type Headers = Readonly<Record<string, string>>;

/** A message. It has exactly one of `data`, `text` and `bytes`. */
export interface Message {
  readonly channel: string;
  /** Unique for its publisher in its channel. */
  readonly id: string;
  /** The life of the log. */
  readonly epoch: string;
  /** The place in the log; absent for a message at QoS 0. */
  readonly offset?: number;
  /** Who published it; absent when anonymous. */
  readonly user?: string;
  /** The server's clock when it was stored, in ms since 1970. */
  readonly time: number;
  /** Whether it comes from the log rather than live. */
  readonly replayed: boolean;
  /** Whether an earlier page or process may have been handed it before. */
  readonly redelivered: boolean;
  readonly headers: Headers;
  /** What was published as a value, if it was one. */
  readonly data?: unknown;
  /** What was published as a text, if it was one. */
  readonly text?: string;
  /** What was published as bytes, if it was some. */
  readonly bytes?: Uint8Array;
}

/** The connection, with what is known of it. */
export type Connection =
  | { readonly state: 'idle' }
  | { readonly state: 'online'; readonly since: number }
  | {
      readonly state: 'connecting' | 'recovering';
      /** How many attempts there were since it was last online. */
      readonly attempt: number;
      /** When the next attempt comes, ms since 1970; 0 while one is under way. */
      readonly retryAt: number;
      readonly cause?: MoorlineError;
    }
  | { readonly state: 'closed'; readonly cause?: MoorlineError };

/** The connection's state by name. */
export type ConnectionState = Connection['state'];

/** Why the connection's state changed. */
export interface StateReason {
  readonly kind:
    | 'requested'
    | 'welcome'
    | 'transport-closed'
    | 'transport-failed'
    | 'silent'
    | 'connect-timeout'
    | 'unanswered'
    | 'goaway'
    | 'reattach'
    | 'offline'
    | 'token'
    | 'refused'
    | 'protocol-violation'
    | 'store'
    | 'runtime';
  /** The close code, if the peer sent one. */
  readonly code?: number;
  readonly error?: MoorlineError;
}

/** What waits to be sent. */
export interface OutboxStats {
  readonly messages: number;
  /** Bytes of their payloads. */
  readonly bytes: number;
}

/** A part of a channel's log. */
export interface HistoryPage {
  /** Ascending. */
  readonly messages: readonly Message[];
  /** Whether there is more in the direction of the query. */
  readonly more: boolean;
  readonly epoch: string;
  /** The oldest offset kept. */
  readonly first: number;
  /** The newest offset. */
  readonly head: number;
}

/** What continuity is broken by, and where reading goes on. */
export interface Reset {
  /** `trimmed`: the log is not kept that far back; `epoch`: it is another log. */
  readonly reason: 'trimmed' | 'epoch';
  readonly epoch: string;
  /** The oldest offset kept. */
  readonly first: number;
  /** The newest offset. */
  readonly head: number;
  /** Messages go on after here. */
  readonly from: number;
}

/** Where reading stands when it begins, or begins again. */
export interface Subscribed {
  readonly epoch: string;
  /** Messages follow from after here. */
  readonly from: number;
  /** The newest offset at that moment. */
  readonly head: number;
  /** Whether messages of the log come first. */
  readonly replay: boolean;
}

/** A member of a channel. */
export interface Member {
  readonly user: string;
  /** What it says about itself. */
  readonly state?: unknown;
  /** Since when, ms since 1970. */
  readonly since: number;
}

/** What happened to a member. */
export interface MemberChange {
  readonly event: 'join' | 'leave' | 'timeout' | 'back' | 'update';
  readonly user: string;
  readonly state?: unknown;
}

/** Some members of a channel, in the order of their names. */
export interface MembersPage {
  /** How many there are in all. */
  readonly count: number;
  readonly members: readonly Member[];
  /** Where the next ones begin, if there are more. */
  readonly cursor?: string;
}

/** Whether a user is online. */
export interface Status {
  readonly online: boolean;
  /** If so since when, ms since 1970. */
  readonly since?: number;
}
