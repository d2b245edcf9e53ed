import type { Call } from './core/calls.js';
import type { Reader } from './core/reader.js';
import type { Listener, TokenReason } from './core/records.js';
import type { Core, Run } from './core/wasm.js';
import type { Writer } from './core/writer.js';
import type { MoorlineError } from './errors.js';
import type { Host, Store } from './host/host.js';
import type { OutboxStats } from './types.js';

/** Where tokens come from. */
export type TokenProvider = (request: { readonly reason: TokenReason }) => string | null | undefined | Promise<string | null | undefined>;

/** What a driver needs. */
export interface Parts {
  readonly host: Host;
  readonly store: Store;
  readonly load: () => Promise<Core>;
  /** Writes the settings, without seed and stored entries. */
  readonly settings: (to: Writer) => void;
  readonly token: TokenProvider | undefined;
  /** Drives this client instead, if it is shared. */
  readonly share?: ((parts: Parts, owner: Owner) => Engine) | undefined;
}

/** What a driver tells beside the core's events. */
export interface Owner extends Listener {
  /** What waits to be sent, also for the core. */
  readonly outbox: OutboxStats;
  /** The core runs: it can be called. */
  onReady(): void;
  /** How things stand after a run. `nextAttempt`: ms since 1970, 0 for none. */
  onStanding(outbox: Run['outbox'], nextAttempt: number): void;
  /** There is no core (any more). */
  onFatal(error: MoorlineError): void;
}

/** What a session drives: a client of its own, or a share in one. */
export interface Engine {
  /** It can be called. */
  readonly isRunning: boolean;
  /** Whether what is kept outlives this page or process; absent: as the client's store says. */
  readonly isLasting?: boolean;
  /** Loads what is needed, once. */
  start(): void;
  /** Makes a call; what comes of it is told later. */
  call(call: Call): void;
  /** Makes a call that answers. Throws what is refused. */
  ask<T>(call: Call, read: (from: Reader) => T): T;
  /** Makes a call with the next ones, or in a moment; what it says is asked for then. */
  callLater(call: Call): void;
  /** Ends at once, without a goodbye to the server. */
  end(): void;
  /** Ends with a goodbye, also where it does not run yet; absent: by a call. */
  quit?(wipe: boolean): void;
}
