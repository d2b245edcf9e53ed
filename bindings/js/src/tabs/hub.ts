import * as calls from '../core/calls.js';
import { Reader } from '../core/reader.js';
import { Writer } from '../core/writer.js';
import type { Parts } from '../engine.js';
import { type MoorlineError, isMoorlineError } from '../errors.js';
import { asks, writeFailure } from './bytes.js';
import { Presences, isPresence } from './presences.js';
import { Relay } from './relay.js';
import { type Seat, Seating } from './seating.js';
import { Statuses } from './statuses.js';
import type { Mood, Standing, TabCall, Told, ToLeader, ToTabs } from './wire.js';

/** What a hub needs of the tab that hosts it. */
export interface HubHome {
  readonly gen: () => number;
  post(message: ToTabs, isOwn: boolean): void;
  watch(tab: string, gone: () => void): () => void;
  /** Whether this tab leads in truth. */
  holds(): Promise<boolean>;
  /** Another leads: nothing of this hub counts any more. */
  lost(): void;
  /** The client has ended, for all tabs. */
  over(): void;
  fatal(error: MoorlineError): void;
}

/** A tab. */
interface Tab {
  readonly name: string;
  readonly seats: Map<number, Seat>;
  mood: Mood;
  /** Beats since its last sign of life. */
  silent: number;
  readonly unwatch: () => void;
}

/** A publish that is not settled, and which tabs await it. */
interface Publish {
  readonly key: string;
  readonly to: Map<Tab, number>;
  isQueued: boolean;
}

/** The leader's part: it runs the one core, makes the tabs' calls, and tells each what comes of its own. */
export class Hub {
  private readonly relay: Relay;
  private readonly tabs = new Map<string, Tab>();
  private readonly seating: Seating;
  private readonly publishes = new Map<number, Publish>();
  private readonly requests = new Map<number, { to: Tab; id: number }>();
  private readonly statuses = new Statuses();
  private readonly presences = new Presences();
  private early: ToLeader[] = [];
  private told: Told[] = [];
  private isTelling = false;
  private standing: Standing = { messages: 0, bytes: 0, nextAttempt: 0, isLasting: false };
  private state: Uint8Array | undefined;
  private welcome: Uint8Array | undefined;
  private isVisible = true;
  private isWanted = false;
  private hasEnded = false;

  constructor(
    parts: Parts,
    private readonly own: string,
    private readonly home: HubHome,
  ) {
    this.relay = new Relay(parts, {
      ready: () => this.onReady(),
      record: (record) => this.route(record),
      standing: (standing) => {
        const { messages, bytes, nextAttempt } = this.standing;
        this.standing = standing;
        if (standing.messages !== messages || standing.bytes !== bytes || standing.nextAttempt !== nextAttempt) this.tellSoon();
      },
      fatal: (error) => home.fatal(error),
      lost: () => home.lost(),
    });
    this.seating = new Seating(this.relay, (told) => this.tell(told));
    this.relay.start();
  }

  /** Stops at once: nothing is sent any more. */
  stop(): void {
    this.hasEnded = true;
    for (const tab of this.tabs.values()) tab.unwatch();
    this.relay.stop();
  }

  /** Stops with a goodbye to the server; what is acknowledged is kept. */
  leave(): void {
    if (this.relay.isRunning) this.relay.call(calls.disconnect);
    this.relay.settle();
    this.stop();
  }

  blackbox(): Uint8Array {
    return this.relay.isRunning ? this.relay.ask(calls.blackbox, (from) => from.blob()) : new Uint8Array(0);
  }

  /** Leaves out tabs that are silent for too long: they say everything again when they wake. */
  onBeat(): void {
    for (const tab of this.tabs.values()) {
      if (tab.name === this.own) continue;
      tab.silent++;
      if (tab.silent > 3) this.detach(tab);
      else if (tab.silent > 1) this.home.post({ t: 'probe', gen: this.home.gen(), to: tab.name }, false);
    }
  }

  take(message: ToLeader): void {
    if (!this.relay.isRunning) {
      if (!this.hasEnded) this.early.push(message);
      return;
    }
    const known = this.tabs.get(message.tab);
    if (message.t === 'bye') return known && this.detach(known);
    if (message.t === 'calls' && message.isAll) return this.attach(message);
    if (!known) return this.home.post({ t: 'again', gen: this.home.gen(), to: message.tab }, message.tab === this.own);
    known.silent = 0;
    if (message.t === 'calls') for (const call of message.calls) this.make(known, call);
  }

  private onReady(): void {
    this.relay.ask(calls.restored, (from) =>
      from.list((entry) => this.publishes.set(entry.number(), { key: `${entry.text()}\n${entry.text()}`, to: new Map(), isQueued: true })),
    );
    for (const message of this.early.splice(0)) this.take(message);
  }

  private attach(message: Extract<ToLeader, { t: 'calls' }>): void {
    const known = this.tabs.get(message.tab);
    if (known) this.unseat(known);
    const mood: Mood = { isWanted: false, isVisible: true, users: [] };
    const unwatch = this.home.watch(message.tab, () => this.tabs.get(message.tab) === tab && this.detach(tab));
    const tab: Tab = { name: message.tab, seats: new Map(), mood, silent: 0, unwatch };
    this.tabs.set(tab.name, tab);
    const to = [[tab.name, []]] as const;
    if (this.welcome) this.tell({ tag: 33, rest: this.welcome, to });
    if (this.state) this.tell({ tag: 32, rest: this.state, to });
    this.tellNow(tab.name, message.isNew === true);
    for (const call of message.calls) this.make(tab, call);
    this.leaveUnread(tab);
  }

  private detach(tab: Tab): void {
    this.unseat(tab);
    this.leaveUnread(tab);
    this.weigh();
  }

  private unseat(tab: Tab): void {
    this.tabs.delete(tab.name);
    tab.unwatch();
    for (const seat of tab.seats.values()) this.seating.vacate(seat, false);
    for (const publish of this.publishes.values()) publish.to.delete(tab);
    for (const [id, { to }] of this.requests) if (to === tab) this.requests.delete(id);
  }

  /** Ends a tab's being a member of channels that it does not read any more. */
  private leaveUnread(tab: Tab): void {
    const read = new Set([...tab.seats.values()].map((seat) => seat.call.channel));
    for (const channel of this.presences.of(tab.name)) {
      const left = read.has(channel) ? undefined : this.presences.vacate(tab.name, channel);
      if (left && this.relay.isRunning) this.relay.ask((to) => to.raw(left), (from) => from.number());
    }
  }

  private make(tab: Tab, call: TabCall): void {
    switch (call.t) {
      case 'sub':
        return this.seating.seat(tab, call);
      case 'pub':
        return this.publish(tab, call);
      case 'ask': {
        const bytes = isPresence(call.bytes) ? this.presences.say(tab.name, call.bytes) : call.bytes;
        const id = this.relay.ask((to) => to.raw(bytes), (from) => from.number());
        this.requests.set(id, { to: tab, id: call.id });
        return;
      }
      case 'reader': {
        const seat = tab.seats.get(call.id);
        if (!seat) return;
        if (call.op === 5) {
          this.seating.vacate(seat, call.rest[0] === 1);
          return this.leaveUnread(tab);
        }
        const { core } = seat;
        return this.relay.callLater((to) => to.byte(call.op).number(core).raw(call.rest));
      }
      case 'raw':
        return this.relay.call((to) => to.raw(call.bytes));
      case 'mood':
        this.statuses.tell(tab.mood.users, call.mood.users, (rest) => this.tell({ tag: 47, rest, to: [[tab.name, []]] }));
        tab.mood = call.mood;
        this.weigh();
    }
  }

  private publish(tab: Tab, call: Extract<TabCall, { t: 'pub' }>): void {
    const to = [[tab.name, [call.id]]] as const;
    if (call.isAgain) {
      for (const publish of this.publishes.values()) {
        if (publish.to.has(tab) || publish.key !== call.key) continue;
        publish.to.set(tab, call.id);
        if (publish.isQueued) this.tell({ tag: 40, rest: new Uint8Array(0), to });
        return;
      }
      // It is settled, and what became of it is not known here.
      if (call.bytes.length === 0) return this.tell({ tag: 42, rest: Uint8Array.of(4), to });
    }
    try {
      const id = this.relay.ask((writer) => writer.raw(call.bytes), (from) => from.number());
      this.publishes.set(id, { key: call.key, to: new Map([[tab, call.id]]), isQueued: false });
    } catch (error) {
      if (!isMoorlineError(error)) throw error;
      this.tell({ tag: 42, rest: new Writer().byte(2).raw(writeFailure(error)).view(), to });
    }
  }

  /** What all tabs want together. */
  private weigh(): void {
    const moods = [...this.tabs.values()].map((tab) => tab.mood);
    const isWanted = moods.some((mood) => mood.isWanted);
    if (isWanted !== this.isWanted && moods.length > 0) this.relay.call(isWanted ? calls.connect : calls.disconnect);
    const isVisible = moods.some((mood) => mood.isVisible);
    if (isVisible !== this.isVisible && moods.length > 0) this.relay.call(calls.host(isVisible ? 'foreground' : 'background'));
    if (moods.length > 0) [this.isWanted, this.isVisible] = [isWanted, isVisible];
    const users = this.statuses.follow(moods.flatMap((mood) => mood.users));
    if (!users) return;
    try {
      this.relay.ask(calls.watchStatus(users), (from) => from.number());
    } catch (error) {
      if (!isMoorlineError(error)) throw error;
      this.tell({ tag: 48, rest: writeFailure(error) });
    }
  }

  /** Finds out whose a record is. */
  private route(record: Uint8Array): void {
    const from = new Reader(record);
    const tag = from.byte();
    if (tag >= 34 && tag <= 39 || tag === 44) return this.seating.route(tag, from);
    if (tag >= 40 && tag <= 42) return this.routePublish(tag, from);
    if (asks.includes(tag)) {
      const id = from.number();
      const request = this.requests.get(id);
      this.requests.delete(id);
      if (request) this.tell({ tag, rest: from.rest(), to: [[request.to.name, [request.id]]] });
      return;
    }
    const rest = from.rest();
    if (tag === 32) this.state = rest;
    if (tag === 33) this.welcome = rest;
    if (tag === 47) this.statuses.learn(rest);
    this.tell({ tag, rest });
  }

  private routePublish(tag: number, from: Reader): void {
    const core = from.number();
    const publish = this.publishes.get(core);
    if (!publish) return;
    if (tag === 40) publish.isQueued = true;
    if (tag === 42) this.publishes.delete(core);
    const to = [...publish.to].map(([tab, id]) => [tab.name, [id]] as const);
    if (to.length > 0) this.tell({ tag, rest: from.rest(), to });
  }

  private tell(told: Told): void {
    this.told.push(told);
    this.tellSoon();
  }

  private tellSoon(): void {
    if (this.isTelling) return;
    this.isTelling = true;
    void Promise.resolve().then(async () => {
      const isLast = this.told.some(({ tag, rest }) => tag === 32 && rest[0] === 4);
      // Another leader displaces this one at the server: that ends nothing, if this tab only hears of it late.
      if (isLast && !(await this.home.holds())) return this.hasEnded ? undefined : this.home.lost();
      this.isTelling = false;
      this.tellNow();
      if (isLast) this.home.over();
    });
  }

  private tellNow(ready?: string, isNew = false): void {
    if (this.hasEnded) return;
    const told = this.told.splice(0);
    const base = { t: 'told', gen: this.home.gen(), told, standing: this.standing } as const;
    const isOwn = [...this.tabs.keys()].every((tab) => tab === this.own);
    if (ready === undefined) return this.home.post(base, isOwn);
    const restored = [...this.publishes.values()].filter((publish) => publish.to.size === 0).map((publish) => publish.key);
    this.home.post(isNew ? { ...base, ready, restored } : { ...base, ready }, isOwn);
  }
}
