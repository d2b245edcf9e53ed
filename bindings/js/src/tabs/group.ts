import type { Host } from '../host/host.js';
import type { TabEnvironment } from './environment.js';
import type { Message, ToLeader, ToTabs } from './wire.js';

/** Between two signs of life, ms. A leader that owes two is given up. */
const beat = 5000;

/** What a group tells its tab. */
export interface Member {
  /** This tab leads from now on. */
  onLead(): void;
  /** It does not any more; what it still does counts for nothing. */
  onLost(): void;
  /** There is a leader, this tab or another. */
  onLeader(): void;
  onBeat(): void;
  toLeader(message: ToLeader): void;
  toTabs(message: ToTabs): void;
}

/** One tab's place among the tabs that share a connection: one of them leads. */
export class Group {
  /** The leader's generation, 0 while none is known. Whoever speaks for an earlier one is not heard. */
  gen = 0;
  leads = false;
  private channel: ReturnType<TabEnvironment['open']> | undefined;
  private wish: AbortController | undefined;
  private release: (() => void) | undefined;
  private leave: (() => void)[] = [];
  private unanswered = 0;
  /** It has joined, and no leader has spoken since. */
  private isNew = false;

  constructor(
    private readonly env: TabEnvironment,
    private readonly host: Host,
    readonly name: string,
    readonly tab: string,
    private readonly member: Member,
  ) {}

  join(): void {
    if (this.channel) return;
    const channel = this.env.open(this.name, (message) => isMessage(message) && this.take(message));
    this.channel = channel;
    this.unanswered = 0;
    this.isNew = true;
    const stay = new AbortController();
    void this.env.locks.request(this.lockOf(this.tab), { signal: stay.signal }, () => new Promise((resolve) => this.leave.push(resolve))).catch(() => undefined);
    this.leave.push(() => stay.abort(), this.every(beat, () => this.onBeat()));
    this.hope();
    this.post({ t: 'who', tab: this.tab });
  }

  /** Leaves, and leads no more. */
  part(): void {
    const { channel } = this;
    this.channel = undefined;
    this.wish?.abort();
    this.step();
    for (const leave of this.leave.splice(0)) leave();
    channel?.close();
  }

  /** Stops leading, and hopes to lead again. */
  resign(): void {
    if (!this.leads) return;
    this.step();
    this.member.onLost();
    if (this.channel) this.hope();
  }

  /** Gives leading up for good; the tab stays. */
  abdicate(): void {
    this.step();
  }

  post(message: Message, isOwn = false): void {
    if (!isOwn) this.channel?.post(message);
    void Promise.resolve().then(() => this.channel && this.take(message));
  }

  /** Calls back when a tab is gone, until what is returned is called. */
  watch(tab: string, gone: () => void): () => void {
    const watch = new AbortController();
    void this.env.locks.request(this.lockOf(tab), { signal: watch.signal }, async () => gone()).catch(() => undefined);
    return () => watch.abort();
  }

  /** Whether this tab leads in truth: a tab that slept may not have heard that it does not. */
  async holds(): Promise<boolean> {
    const { held = [] } = await this.env.locks.query();
    const holder = (name: string): string | undefined => held.find((lock) => lock.name === name)?.clientId;
    return this.leads && holder(this.name) !== undefined && holder(this.name) === holder(this.lockOf(this.tab));
  }

  private lockOf(tab: string): string {
    return `${this.name}/${tab}`;
  }

  /** Waits to lead, or takes the lead from a leader that is silent. */
  private hope(steal = false): void {
    this.wish?.abort();
    const wish = new AbortController();
    this.wish = wish;
    this.env.locks
      .request(this.name, steal ? { steal } : { signal: wish.signal }, () => {
        if (wish.signal.aborted || this.wish !== wish) return Promise.resolve();
        return new Promise<void>((resolve) => this.lead(resolve));
      })
      .catch(() => {
        if (this.wish === wish) this.resign();
      });
  }

  private lead(release: () => void): void {
    this.release = release;
    this.leads = true;
    this.isNew = false;
    this.gen = Math.max(this.env.now(), this.gen + 1);
    this.member.onLead();
    this.announce();
    this.member.onLeader();
  }

  private announce(): void {
    this.unanswered = 0;
    this.channel?.post({ t: 'lead', gen: this.gen });
  }

  private step(): void {
    const { release } = this;
    this.leads = false;
    this.release = this.wish = undefined;
    release?.();
  }

  private take(message: Message): void {
    switch (message.t) {
      case 'who':
        return this.leads ? this.announce() : undefined;
      case 'lead':
        return this.onLead(message.gen);
      case 'behind':
        if (!this.leads || message.gen < this.gen) return;
        this.gen = message.gen + 1;
        this.announce();
        return this.member.onLeader();
      case 'told':
      case 'again':
      case 'probe':
        if (message.gen !== this.gen) return;
        this.unanswered = 0;
        return this.member.toTabs(message);
      default:
        if (this.leads && message.gen === this.gen) this.member.toLeader(message);
    }
  }

  private onLead(gen: number): void {
    if (gen < this.gen) return this.post({ t: 'behind', gen: this.gen });
    this.unanswered = 0;
    if (gen === this.gen && !this.isNew) return;
    this.isNew = false;
    this.gen = gen;
    this.resign();
    this.member.onLeader();
  }

  private onBeat(): void {
    if (!this.leads && ++this.unanswered > 2) {
      this.unanswered = 0;
      this.hope(true);
    } else if (!this.leads) {
      this.post({ t: 'who', tab: this.tab });
      this.post({ t: 'sign', tab: this.tab, gen: this.gen });
    }
    this.member.onBeat();
  }

  private every(ms: number, act: () => void): () => void {
    const start = (): (() => void) =>
      this.host.timer(ms, () => {
        stop = start();
        act();
      });
    let stop = start();
    return () => stop();
  }
}

/** Anything of this origin can post to the channel. */
function isMessage(message: unknown): message is Message {
  return typeof message === 'object' && message !== null;
}
