import type { FakeTimers } from './clock.js';

/** Something that a token can allow. */
export type Permission = 'subscribe' | 'publish' | 'presence' | 'history' | 'call';

/** What is allowed, by channel (by method for `call`): an exact name, or a prefix and a trailing `*`. */
export type Grants = Readonly<Record<string, readonly Permission[]>>;

/** How messages are kept and sent in channels whose name begins with `prefix`; the longest that fits decides. */
export interface ChannelRule {
  readonly prefix: string;
  /** ms that a message is kept (default 7 days). */
  readonly maxAge?: number;
  /** Bytes kept per channel (default 1 GiB). */
  readonly maxBytes?: number;
  /** Messages kept per channel (default: no limit). */
  readonly maxCount?: number;
  /** Whether they may be compressed (default true). */
  readonly compression?: boolean;
}

/** Limits of the server. */
export interface TestLimits {
  /** Bytes of a message's payload (default 65,536). */
  readonly message?: number;
  /** Channels per connection (default 256). */
  readonly channels?: number;
  /** Connections per user (default 20). */
  readonly connectionsPerUser?: number;
  /** Publishes per second and connection; 0 for no limit (default). */
  readonly publishRate?: number;
  /** Publishes in a burst (default 100). */
  readonly publishBurst?: number;
  /** ms between pings (default 25,000). */
  readonly ping?: number;
  /** ms over which clients come back after a stop or a crash (default 3,000). */
  readonly reconnectWindow?: number;
}

/** How a server is set up. */
export interface TestServerOptions {
  /** What all randomness is drawn from, 0 to 2^53 − 1 (default 0). The same seed, the same run. */
  readonly seed?: number;
  /** Who may come in, and with what. Absent: everybody, with everything, also without a token. */
  readonly users?: Readonly<Record<string, Grants>>;
  /** The apps whose clients may call a backend, which `onCall` is (default `['default']`). */
  readonly calls?: readonly string[];
  /** How messages are kept. */
  readonly rules?: readonly ChannelRule[];
  readonly limits?: TestLimits;
  /** When it is, at first (default 2026-01-01T00:00:00Z). With `timers`, the fake timers say. */
  readonly now?: number | Date;
  /**
   * Fake timers in use, such as `vi` after `vi.useFakeTimers()`: they and this server then have one time, which
   * `advance()` and `vi.advanceTimersByTimeAsync()` both move.
   */
  readonly timers?: FakeTimers;
}

/** A token's own terms. */
export interface TokenOptions {
  /** ms until it expires (default: never). */
  readonly ttl?: number;
  /** What it allows, instead of what `users` says. */
  readonly grants?: Grants;
}

/** How the backend publishes. */
export interface PublishOptions {
  /** Whom receivers see as the publisher (default: nobody). */
  readonly user?: string;
  /** The message's id (default: a new one). */
  readonly id?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Seconds after which it may be forgotten. */
  readonly ttl?: number;
  /** 0: only to whoever reads now; it is not stored (default 1). */
  readonly qos?: 0 | 1;
}

/** What came of a publish. */
export interface Published {
  readonly epoch: string;
  /** Absent at QoS 0. */
  readonly offset?: number;
  /** Whether a message with this id was there already. */
  readonly duplicate: boolean;
}

/** A message in the server's log. It has exactly one of `data`, `text` and `bytes`. */
export interface LoggedMessage {
  readonly offset: number;
  readonly id: string;
  readonly user?: string;
  /** ms since 1970. */
  readonly time: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly data?: unknown;
  readonly text?: string;
  readonly bytes?: Uint8Array;
}

/** A connection, as the server sees it. */
export interface ServerConnection {
  readonly app: string;
  /** When it was opened, ms since 1970. */
  readonly since: number;
  /** Absent until it has said who it is. */
  readonly session?: string;
  readonly user?: string;
  readonly device?: string;
  /** Bytes that were sent to it and do not get through. */
  readonly queued: number;
}

/** A member of a channel, as the server sees it. */
export interface ServerMember {
  readonly user: string;
  readonly state?: unknown;
  /** Since when, ms since 1970. */
  readonly since: number;
}
