import * as calls from '../core/calls.js';
import { encode, presenceChannel } from './bytes.js';

const [enters, updates, leaves] = [10, 11, 12] as const;

/** Whether a call is about being a member. */
export function isPresence(bytes: Uint8Array): boolean {
  return bytes[0]! >= enters && bytes[0]! <= leaves;
}

/** What a tab has said about being a member, as a leader has to know it that was told nothing before. */
export function together(before: Uint8Array | undefined, said: Uint8Array): Uint8Array {
  return said[0] === updates && before?.[0] === enters ? Uint8Array.of(enters, ...said.subarray(1)) : said;
}

/** Which tabs have entered a channel: their user is a member until the last of them leaves it, or does not read it any more. */
export class Presences {
  private readonly said = new Map<string, Map<string, Uint8Array>>();

  /** Takes what a tab says. Returns what the core is to be told. */
  say(tab: string, bytes: Uint8Array): Uint8Array {
    const channel = presenceChannel(bytes);
    const all = this.said.get(channel) ?? new Map<string, Uint8Array>();
    const before = all.get(tab);
    all.delete(tab);
    if (bytes[0] !== leaves) all.set(tab, together(before, bytes));
    if (all.size > 0) this.said.set(channel, all);
    else this.said.delete(channel);
    return bytes[0] === leaves ? ([...all.values()].pop() ?? bytes) : bytes;
  }

  /** A tab does not read a channel any more. Returns what the core is to be told, if anything. */
  vacate(tab: string, channel: string): Uint8Array | undefined {
    return this.said.get(channel)?.has(tab) ? this.say(tab, encode(calls.presence('leave', channel, undefined))) : undefined;
  }

  /** The channels that a tab has entered. */
  of(tab: string): string[] {
    return [...this.said].filter(([, all]) => all.has(tab)).map(([channel]) => channel);
  }
}
