import { MoorlineError } from '../errors.js';
import { asks, callsBackend, presenceChannel, readPublish } from './bytes.js';
import { isPresence, together } from './presences.js';
import type { Standing, TabCall } from './wire.js';

type Offer = Extract<TabCall, { t: 'pub' }>;

interface Publish {
  call: Offer;
  readonly qos: number | undefined;
  readonly size: number;
  isQueued: boolean;
}

/** What a tab has asked for and was not answered: each new leader is asked for it again. */
export class Unsettled {
  private readonly publishes = new Map<number, Publish>();
  private readonly requests = new Map<number, TabCall>();
  /** Calls of the app's backend that a leader was told of: no other is. */
  private readonly called = new Set<number>();
  /** What was said last about presence, per channel: a new leader has to know. */
  private readonly presence = new Map<string, Uint8Array>();

  /** Whether all that was published is in the store. */
  get isKept(): boolean {
    return [...this.publishes.values()].every((publish) => publish.isQueued || publish.qos === 0);
  }

  /** Takes on a message. Throws `limit.outbox`. */
  publish(id: number, bytes: Uint8Array, standing: Standing, limits: { readonly messages: number; readonly bytes: number }): Offer {
    const { key, qos, size } = readPublish(bytes);
    const waiting = [...this.publishes.values()].filter((publish) => !publish.isQueued);
    const total = waiting.reduce((sum, publish) => sum + publish.size, standing.bytes + size);
    if (qos !== 0 && (standing.messages + waiting.length >= limits.messages || total > limits.bytes)) {
      throw new MoorlineError('limit.outbox', 'the outbox is full: wait for earlier messages to be stored');
    }
    const call = { t: 'pub', id, key, bytes, isAgain: false } as const;
    this.publishes.set(id, { call, qos, size, isQueued: false });
    return call;
  }

  /** Takes on a message that was found in the store. */
  adopt(id: number, key: string): Offer {
    const call = { t: 'pub', id, key, bytes: new Uint8Array(0), isAgain: true } as const;
    this.publishes.set(id, { call, qos: undefined, size: 0, isQueued: true });
    return call;
  }

  ask(id: number, bytes: Uint8Array): TabCall {
    const call = { t: 'ask', id, bytes } as const;
    this.requests.set(id, call);
    if (!isPresence(bytes)) return call;
    const channel = presenceChannel(bytes);
    this.presence.set(channel, together(this.presence.get(channel), bytes));
    return call;
  }

  /** A channel is not read any more: whoever had entered it has left. */
  leave(channel: string): void {
    this.presence.delete(channel);
  }

  /** Takes out what a leader that is gone was told of, and no other is: messages at QoS 0. */
  lost(): number[] {
    const lost = [...this.publishes].filter(([, { call, qos }]) => qos === 0 && call.isAgain).map(([id]) => id);
    for (const id of lost) this.publishes.delete(id);
    return lost;
  }

  /** A leader is told of these. */
  onSaid(said: readonly TabCall[]): void {
    for (const call of said) {
      if (call.t === 'ask' && call.bytes[0] === callsBackend) this.called.add(call.id);
      const publish = call.t === 'pub' ? this.publishes.get(call.id) : undefined;
      // What was said is on its way as it is.
      if (publish) publish.call = { ...publish.call, isAgain: true };
    }
  }

  /** Takes out the calls that a leader was told of which is gone: they may have been made. */
  uncertain(): number[] {
    const uncertain = [...this.called];
    this.called.clear();
    for (const id of uncertain) this.requests.delete(id);
    return uncertain;
  }

  /** What a new leader is asked for. */
  calls(): TabCall[] {
    const all: TabCall[] = [...this.publishes.values()].map((publish) => publish.call);
    for (const bytes of this.presence.values()) all.push({ t: 'ask', id: 0, bytes });
    return [...all, ...this.requests.values()];
  }

  onRecord(tag: number, id: number): void {
    const publish = this.publishes.get(id);
    if (tag === 40 && publish) publish.isQueued = true;
    if (tag === 42) this.publishes.delete(id);
    if (!asks.includes(tag)) return;
    this.requests.delete(id);
    this.called.delete(id);
  }
}
