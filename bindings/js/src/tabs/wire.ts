import type { Position } from '../types.js';

/**
 * Which protocol the tabs speak: what is below, the records and calls of the core in it, and who leads. Whatever changes there
 * raises it; tabs that differ in it are strangers to each other.
 */
export const tabProtocol = 1;

/** A call of a tab. Ids are the tab's own; bytes are as the core reads and writes them. */
export type TabCall =
  /** A reader: `since` and `rest` of its options; `at`: what this tab has been handed already. */
  | { readonly t: 'sub'; readonly id: number; readonly channel: string; readonly since: Uint8Array; readonly rest: Uint8Array; readonly at: Position | undefined }
  /** A publish; `isAgain`: an earlier leader was told it, too. Without bytes: one that was found in the store. */
  | { readonly t: 'pub'; readonly id: number; readonly key: string; readonly bytes: Uint8Array; readonly isAgain: boolean }
  /** What ends with an answer. */
  | { readonly t: 'ask'; readonly id: number; readonly bytes: Uint8Array }
  /** A call on a reader. */
  | { readonly t: 'reader'; readonly id: number; readonly op: number; readonly rest: Uint8Array }
  /** Any other call. */
  | { readonly t: 'raw'; readonly bytes: Uint8Array }
  | { readonly t: 'mood'; readonly mood: Mood };

/** What a tab wants of the connection. */
export interface Mood {
  readonly isWanted: boolean;
  readonly isVisible: boolean;
  /** Whose status it follows. */
  readonly users: readonly string[];
}

/** A record of the core: its tag and what follows its ids. */
export interface Told {
  readonly tag: number;
  readonly rest: Uint8Array;
  /** Who it is for, with its own ids; absent: all. */
  readonly to?: readonly (readonly [tab: string, ids: readonly number[]])[];
  /** With members that changed: who is there. */
  readonly present?: Uint8Array;
}

/** How things stand, for all tabs. */
export interface Standing {
  readonly messages: number;
  readonly bytes: number;
  readonly nextAttempt: number;
  /** Whether what the leader's store has outlives the browser. */
  readonly isLasting: boolean;
}

/** What tabs say to the leader. `gen`: the leader's generation. */
export type ToLeader =
  | { readonly t: 'calls'; readonly tab: string; readonly gen: number; readonly calls: readonly TabCall[]; readonly isAll?: boolean; readonly isNew?: boolean }
  /** A sign of life. */
  | { readonly t: 'sign'; readonly tab: string; readonly gen: number }
  | { readonly t: 'bye'; readonly tab: string; readonly gen: number };

/** What the leader says to tabs. */
export type ToTabs =
  | { readonly t: 'told'; readonly gen: number; readonly told: readonly Told[]; readonly standing: Standing; readonly ready?: string; readonly restored?: readonly string[] }
  /** A tab that the leader does not know has to say everything again; one that is silent has to give a sign. */
  | { readonly t: 'again' | 'probe'; readonly gen: number; readonly to: string };

/** Who leads. */
export type Election =
  | { readonly t: 'lead'; readonly gen: number }
  /** There was a leader of a later generation. */
  | { readonly t: 'behind'; readonly gen: number }
  | { readonly t: 'who'; readonly tab: string };

export type Message = ToLeader | ToTabs | Election;
