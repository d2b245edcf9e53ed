import type { TabEnvironment } from '../tabs/environment.js';

/** Which kind of platform a host is. */
export type HostName =
  | 'browser'
  | 'worker'
  | 'node'
  | 'react-native'
  | 'wechat'
  | 'alipay'
  | 'douyin'
  | 'uni'
  | 'taro'
  | (string & {});

/** Something that happened to the app or the device. */
export type HostSignal = 'online' | 'offline' | 'foreground' | 'background' | 'wake';

/**
 * Everything a JS platform lends the client. No other part of this library touches a global of the platform.
 */
export interface Host {
  readonly name: HostName;
  /** Fetches what the host needs before its first use, such as random bytes of a platform that gives them late. Called once, with
   * the start of the core; a failure ends the client. Absent: nothing. */
  prepare?(): Promise<void>;
  /** Opens a WebSocket with subprotocol `moorline.v1.bin`. Never throws: a failure arrives as `closed()`. */
  open(url: string, events: SocketEvents): Socket;
  /** A clock that does not jump, in ms since any moment. */
  now(): number;
  /** The time of day, in ms since 1970 (default: `Date.now()`). */
  wall?(): number;
  /** Fills with random bytes fit for secrets. Throws if there are none to be had. */
  random(into: Uint8Array): void;
  /** Calls `fire` once after `ms`; what is returned stops that. */
  timer(ms: number, fire: () => void): () => void;
  /** Reports what happens to the app or the device, until what is returned is called; at once that the app is in the background, if it is. */
  signals?(emit: (signal: HostSignal) => void): () => void;
  /** The store a client has if it is given none, under this name if there are several; absent: memory. */
  store?(name?: string): Store;
  /** What lets several pages of one app share a client; absent or undefined: each is for itself. */
  tabs?(): TabEnvironment | undefined;
  /** Where an error goes that nobody else takes, such as one thrown by a handler. */
  report(error: unknown): void;
}

/** What a socket tells. `closed` comes exactly once, also after our own close and after a failed open; nothing after it. */
export interface SocketEvents {
  opened(): void;
  frame(data: Uint8Array | string): void;
  /** Bytes arrived that are no frame, such as a ping: a sign of life. */
  activity?(): void;
  /** `code` as the peer sent it; `reason`: why the socket could not be opened or broke, where the host knows. */
  closed(code?: number, reason?: string): void;
}

/** A WebSocket of the host. */
export interface Socket {
  send(frame: Uint8Array | string): void;
  /** Bytes that wait to be sent; undefined where the host does not know. */
  readonly buffered: number | undefined;
  close(code: number, reason: string): void;
}

/** A key and a value of a store. Keys are short ASCII texts; values are opaque, at most some 68 KiB. */
export type StoreEntry = readonly [key: string, value: Uint8Array];

/** Writes that become durable together or not at all: first `clear`, then `deletes`, then `puts`. */
export interface StoreBatch {
  readonly clear: boolean;
  readonly deletes: readonly string[];
  readonly puts: readonly StoreEntry[];
}

/** Keeps the outbox, the device id and positions. Belongs to one client at a time. */
export interface Store {
  /** Under which name other pages of this app find the same store; absent: they do not. */
  readonly shared?: string;
  /** The store beside this one that a group of tabs has; absent: tabs do not share it. */
  of?(group: string): Store;
  /** Whether what it keeps outlives this page or process, once it is loaded; absent: it does. */
  readonly isLasting?: boolean;
  /** Returns everything that is stored, in any order. Called once, before anything else. `leads`: for several tabs, of
   * which this one leads; whoever led before must not be able to write any more. */
  load(leads?: boolean): readonly StoreEntry[] | Promise<readonly StoreEntry[]>;
  /**
   * Commits a batch; batches come in order, and one may be handed over before the last one is done. What is thrown
   * says why nothing of it was kept: a `StoreFailure`, or anything else.
   */
  commit(batch: StoreBatch): void | Promise<void>;
  /** Releases it. */
  close?(): void | Promise<void>;
}
