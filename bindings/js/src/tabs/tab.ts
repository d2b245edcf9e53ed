import * as calls from '../core/calls.js';
import type { Call } from '../core/calls.js';
import { Reader } from '../core/reader.js';
import { type Doer, statuses, take } from '../core/records.js';
import type { Engine, Owner, Parts } from '../engine.js';
import { MoorlineError, closedError, malformed, wrap } from '../errors.js';
import { encode, splitSubscribe, writeRestored } from './bytes.js';
import type { TabEnvironment } from './environment.js';
import { Group, type Member } from './group.js';
import { Hub } from './hub.js';
import type { Identified } from './identity.js';
import { Known, newsOf } from './known.js';
import { Places } from './places.js';
import { Unsettled } from './unsettled.js';
import type { Mood, Standing, TabCall, Told, ToLeader, ToTabs } from './wire.js';

/** How a tab is one of several. */
export interface TabParts extends Parts {
  readonly env: TabEnvironment;
  /** Finds out which tabs share with this one, and what they share. */
  readonly identify: () => Promise<Identified>;
  readonly outbox: { readonly messages: number; readonly bytes: number };
}

/** `close()` waits at most so long, ms. */
const patience = 5000;

/**
 * A tab's part of a shared client. It keeps everything that is not done yet, and says it again to each new leader; what it
 * has been handed it knows by position, so that nothing comes twice. If it leads, it hosts the hub, too.
 */
export class Tab implements Engine, Member {
  isRunning = false;
  private phase: 'new' | 'started' | 'ended' = 'new';
  private group: Group | undefined;
  private shared: Identified | undefined;
  private hub: Hub | undefined;
  private readonly places = new Places();
  private readonly unsettled = new Unsettled();
  private readonly known = new Known();
  private mood: Mood = { isWanted: false, isVisible: true, users: [] };
  private restored: readonly (readonly [id: number, key: string])[] = [];
  private ids = 0;
  private later: TabCall[] = [];
  private isAttached = false;
  /** The server has ended the client: no leader can go on. */
  private isOver = false;
  private wasOnline = false;
  private wipes = false;
  private standing: Standing = { messages: 0, bytes: 0, nextAttempt: 0, isLasting: false };
  private closing: { stop: () => void } | undefined;
  private stops: (() => void)[] = [];

  constructor(
    private readonly parts: TabParts,
    private readonly owner: Owner,
  ) {}

  get isLasting(): boolean {
    return this.standing.isLasting;
  }

  start(): void {
    if (this.phase !== 'new') return;
    this.phase = 'started';
    const { host } = this.parts;
    const stopSignals = host.signals?.((signal) => this.call(calls.host(signal)));
    this.stops = [() => stopSignals?.()];
    this.identify(500);
  }

  call(call: Call): void {
    const bytes = encode(call);
    const from = new Reader(bytes);
    switch (from.byte()) {
      case 1:
      case 2:
        return this.feel({ isWanted: bytes[0] === 1 });
      case 5: {
        const id = from.number();
        const left = this.places.remove(id, from.rest()[0] === 1);
        if (left !== undefined) {
          this.unsettled.leave(left);
          this.known.forget(left);
        }
        return this.say({ t: 'reader', id, op: 5, rest: from.rest() });
      }
      case 41: {
        const signal = from.byte();
        if (signal === 2 || signal === 3) return this.feel({ isVisible: signal === 2 });
        if (signal === 4 || this.group?.leads) this.say({ t: 'raw', bytes });
        return;
      }
    }
  }

  callLater(call: Call): void {
    const from = new Reader(encode(call));
    const [op, id] = [from.byte(), from.number()];
    if (op === 7) this.places.onAck(id, from.rest());
    this.say({ t: 'reader', id, op, rest: from.rest() });
  }

  ask<T>(call: Call, read: (from: Reader) => T): T {
    if (this.phase === 'ended') throw closedError();
    const bytes = encode(call);
    return read(new Reader(this.answer(bytes)));
  }

  end(): void {
    if (this.phase === 'ended') return;
    this.phase = 'ended';
    this.isRunning = false;
    this.closing?.stop();
    this.part();
    for (const stop of this.stops.splice(0)) stop();
  }

  quit(wipe: boolean): void {
    this.wipes ||= wipe;
    if (this.wipes && this.isOver) {
      this.isOver = false;
      this.group?.part();
      this.group?.join();
    } else if (this.wipes) {
      this.say({ t: 'raw', bytes: encode(calls.close(true)) });
    }
    if (this.closing) return;
    const stop = this.parts.host.timer(patience, () => this.closed());
    this.closing = { stop };
    this.closeWhenKept();
  }

  onLead(): void {
    const { group, shared } = this;
    const { host } = this.parts;
    // What happens to the device is told by this tab, what happens to a page by each.
    const { signals: _, ...deaf } = host;
    this.hub = new Hub({ ...this.parts, host: deaf, store: shared!.store(), token: shared!.token }, group!.tab, {
      gen: () => group!.gen,
      post: (message, isOwn) => group!.post(message, isOwn),
      watch: (tab, gone) => group!.watch(tab, gone),
      holds: () => group!.holds(),
      lost: () => group!.resign(),
      over: () => {
        group!.abdicate();
        this.unhost();
      },
      fatal: (error) => {
        this.end();
        this.owner.onFatal(error);
      },
    });
  }

  onLost(): void {
    this.isAttached = false;
    this.unhost();
  }

  onLeader(): void {
    if (!this.isOver) this.attach();
  }

  onBeat(): void {
    this.hub?.onBeat();
  }

  toLeader(message: ToLeader): void {
    this.hub?.take(message);
  }

  toTabs(message: ToTabs): void {
    const tab = this.group!.tab;
    if (message.t === 'told') return this.hear(message);
    if (message.to !== tab || this.isOver) return;
    if (message.t === 'probe') this.group!.post({ t: 'sign', tab, gen: this.group!.gen });
    else this.attach();
  }

  private identify(pause: number): void {
    const { host, env } = this.parts;
    this.parts.identify().then(
      (shared) => {
        if (this.phase !== 'started') return;
        this.shared = shared;
        const group = (this.group = new Group(shared.env, host, shared.name, shared.tab, this));
        const stopAway = shared.env.away?.((isAway) => (isAway ? this.part() : group.join()));
        this.stops.push(() => stopAway?.());
        group.join();
      },
      (error: unknown) => {
        // Who this is for is not known without a token: it is asked for again.
        if (this.phase !== 'started') return;
        this.owner.onStanding({ messages: 0, bytes: 0 }, env.now() + pause);
        this.owner.onState('connecting', { kind: 'token', error: wrap('auth.invalid', error) });
        this.stops.push(host.timer(pause, () => this.identify(Math.min(pause * 2, 20_000))));
      },
    );
  }

  private answer(bytes: Uint8Array): Uint8Array {
    const op = bytes[0]!;
    if (op === 16) return this.known.of(new Reader(bytes.subarray(1)).text());
    if (op === 17) return encode((to) => to.blob(this.hub?.blackbox() ?? new Uint8Array(0)));
    if (op === 18) return writeRestored(this.restored);
    if (this.isOver) throw closedError();
    if (op === 15) {
      this.feel({ users: new Reader(bytes.subarray(1)).list((user) => user.text()) });
      return new Uint8Array(1);
    }
    const id = ++this.ids;
    if (op === 4) {
      const call = this.places.add(id, splitSubscribe(bytes));
      if (!call) throw malformed('the channel is already read with another value of `since`; omit the option to inherit it');
      this.say(call);
    } else {
      this.say(op === 8 ? this.unsettled.publish(id, bytes, this.standing, this.parts.outbox) : this.unsettled.ask(id, bytes));
    }
    return encode((to) => to.number(id));
  }

  /** Takes on a message that was found in the store. */
  private adopt(key: string): number {
    const id = ++this.ids;
    this.say(this.unsettled.adopt(id, key));
    return id;
  }

  private feel(mood: Partial<Mood>): void {
    this.mood = { ...this.mood, ...mood };
    this.say({ t: 'mood', mood: this.mood });
  }

  /** Says something to the leader, with what else is said now. A new leader is told what counts by `attach`. */
  private say(call: TabCall): void {
    if (this.later.push(call) > 1) return;
    void Promise.resolve().then(() => {
      const said = this.later.splice(0);
      if (this.isAttached && said.length > 0) this.post(said);
    });
  }

  private post(said: readonly TabCall[], isAll = false): void {
    const { gen, tab, leads } = this.group!;
    this.unsettled.onSaid(said);
    this.group!.post({ t: 'calls', tab, gen, calls: said, isAll, isNew: isAll && !this.isRunning }, leads);
  }

  /** Tells a leader everything that is not done. */
  private attach(): void {
    this.later = [];
    this.isAttached = true;
    for (const id of this.unsettled.uncertain()) {
      this.owner.onAnswer(id, new MoorlineError('call.uncertain', 'the tab that made the call is gone; it may have been carried out', 'transport'));
    }
    for (const id of this.unsettled.lost()) this.owner.onSettled(id, { kind: 'sent' });
    const all: TabCall[] = [{ t: 'mood', mood: this.mood }, ...this.places.calls(), ...this.unsettled.calls()];
    if (this.wipes) all.push({ t: 'raw', bytes: encode(calls.close(true)) });
    this.post(all, true);
  }

  private hear(message: Extract<ToTabs, { t: 'told' }>): void {
    const tab = this.group!.tab;
    const { messages, bytes, nextAttempt } = message.standing;
    this.standing = message.standing;
    if (message.ready === tab && !this.isRunning && this.phase === 'started') {
      this.restored = (message.restored ?? []).map((key) => [this.adopt(key), key] as const);
      this.isRunning = true;
      this.owner.onReady();
    }
    if (!this.isRunning) return;
    this.owner.onStanding({ messages, bytes }, nextAttempt);
    message.told.forEach((told, index) => {
      const ids = told.to?.find(([to]) => to === tab)?.[1];
      if (!told.to || ids) this.record(told, ids ?? [], message.told[index + 1]?.tag === 36);
    });
    if (this.closing) this.closeWhenKept();
  }

  /** Takes a record: tells the owner what is news. */
  private record(told: Told, ids: readonly number[], isReset: boolean): void {
    const { tag, rest } = told;
    if (this.phase === 'ended') return;
    if (tag >= 34 && tag <= 39 || tag === 44) {
      const news = newsOf(this.places, this.known, told, ids, isReset);
      news.say.forEach((call) => this.say(call));
      for (const [kind, keep, bytes] of news.tell) this.tell((to) => to.byte(kind).list(keep, (out, id) => out.number(id)).raw(bytes));
      return;
    }
    if (tag === 32) return this.onState(rest);
    if (tag === 47) return this.onStatus(rest);
    for (const id of ids) {
      this.unsettled.onRecord(tag, id);
      if (id !== 0) this.tell((to) => to.byte(tag).number(id).raw(rest));
    }
    if (ids.length === 0 && (tag < 40 || tag > 46)) this.tell((to) => to.byte(tag).raw(rest));
  }

  private onState(rest: Uint8Array): void {
    const state = rest[0] === 1 && this.wasOnline ? 3 : rest[0]!;
    if (state === 2) this.wasOnline = true;
    if (state === 4) {
      this.isOver = true;
      void Promise.resolve().then(() => this.isOver && this.part());
    }
    // A new leader starts from nothing; that is no state of this client's.
    if (state === 0 && this.wasOnline && this.mood.isWanted) return;
    this.tell((to) => to.byte(32).byte(state).raw(rest.subarray(1)));
  }

  private onStatus(rest: Uint8Array): void {
    const own = new Map([...statuses(new Reader(rest))].filter(([user]) => this.mood.users.includes(user)));
    if (own.size > 0) this.owner.onStatus(own);
  }

  private tell(record: Call): void {
    take(new Reader(encode(record)), nobody, this.owner);
  }

  /** Ends once the store has what this tab has published, and the leader was told what was said before. */
  private closeWhenKept(): void {
    const isKept = this.isOver || (this.isRunning ? this.unsettled.isKept : this.owner.outbox.messages === 0);
    if (isKept && !this.wipes) this.stops.push(this.parts.host.timer(0, () => this.closed()));
  }

  private closed(): void {
    if (this.phase === 'ended') return;
    const error = this.wipes ? new MoorlineError('storage.unavailable', 'no tab answered within 5 s: the store may not be cleared') : undefined;
    this.owner.onClosed(error);
  }

  private part(): void {
    const { group } = this;
    this.isAttached = false;
    if (this.hub) this.hub.leave();
    else if (group) group.post({ t: 'bye', tab: group.tab, gen: group.gen });
    this.hub = undefined;
    group?.part();
  }

  private unhost(): void {
    this.hub?.stop();
    this.hub = undefined;
  }
}

const nobody = {} as Doer;
