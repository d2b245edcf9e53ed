import * as calls from './core/calls.js';
import { type PresenceChanged, members as readMembers } from './core/records.js';
import { Emitter } from './emitter.js';
import { malformed } from './errors.js';
import { stateBytes } from './options.js';
import type { Session } from './session.js';
import { Value, type Source } from './source.js';
import type { Member, MemberChange, MembersPage } from './types.js';

/** The members of a channel at one moment. */
export interface Members {
  /** How many there are; undefined until that is known. */
  readonly count: number | undefined;
  /** All of them, in the order of their names; undefined until they are known, and where there are more than 200. */
  readonly list: readonly Member[] | undefined;
}

/** What a change of members is. */
export interface PresenceInfo {
  /** Whether this is what a new look at all members shows (at the beginning, after a reconnect), rather than happening now. */
  readonly snapshot: boolean;
  readonly count: number;
}

export type PresenceEvents = {
  change: [changes: readonly MemberChange[], info: PresenceInfo];
};

const unknown: Members = { count: undefined, list: undefined };

/** Who is in a channel. */
export class Presence {
  /** The members, as a value that can be followed: the same object until they change. */
  readonly source: Source<Members>;

  private readonly value: Value<Members>;
  private readonly events: Emitter<PresenceEvents>;
  private hasEnded = false;

  /** @internal */
  constructor(
    private readonly session: Session,
    private readonly channel: string,
    private readonly read: () => void,
  ) {
    this.value = new Value<Members>(unknown, session.report);
    this.source = this.value;
    this.events = new Emitter<PresenceEvents>(['change'], session.report);
  }

  /** All members, in the order of their names; empty until they are known, and where there are more than 200. */
  get members(): readonly Member[] {
    return this.value.current.list ?? [];
  }

  /** How many there are; undefined until that is known. */
  get count(): number | undefined {
    return this.value.current.count;
  }

  /** Adds a handler, and begins to read the channel. Returns its own undo. */
  on<Name extends keyof PresenceEvents>(name: Name, handler: (...args: PresenceEvents[Name]) => void): () => void {
    return this.events.start(name, handler, () => this.read());
  }

  /** Becomes a member, with this state. Done again by itself after a reconnect. */
  enter(state?: unknown): Promise<void> {
    return this.act('enter', state);
  }

  /** Changes what this member says about itself. */
  update(state: unknown): Promise<void> {
    return this.act('update', state);
  }

  /** Stops being a member; the channel is read on. */
  leave(): Promise<void> {
    return this.act('leave', undefined);
  }

  /** Asks the server for members, whether the channel is read or not: the first 200, or those from a cursor on. */
  async page(cursor?: string): Promise<MembersPage> {
    if (cursor !== undefined && typeof cursor !== 'string') throw malformed('`cursor` is that of a page before');
    return this.session.request<MembersPage>(calls.members(this.channel, cursor));
  }

  /** @internal */
  onChanged(changed: PresenceChanged): void {
    this.value.set({ count: changed.count, list: this.known()?.list });
    this.events.emit('change', changed.changes, { snapshot: changed.snapshot, count: changed.count });
  }

  /** Reading has begun: what another handle knows of the channel is known here, too. @internal */
  onSubscribed(): void {
    // The first handle is told by what follows: only what nobody tells is left to be asked for.
    void Promise.resolve().then(() => {
      const known = this.hasEnded || this.value.current !== unknown || !this.session.driver.isRunning ? undefined : this.known();
      if (!known) return;
      this.value.set(known);
      const changes = known.list?.map(({ since: _, ...member }) => ({ event: 'join', ...member }) as const) ?? [];
      this.events.emit('change', changes, { snapshot: true, count: known.count });
    });
  }

  /** @internal */
  onEnded(): void {
    if (this.value.current !== unknown) this.value.set(unknown);
  }

  /** @internal */
  end(): void {
    this.hasEnded = true;
    this.events.clear();
    this.onEnded();
  }

  private known(): { readonly count: number; readonly list: readonly Member[] | undefined } | undefined {
    return this.session.driver.ask(calls.present(this.channel), (from) =>
      from.maybe((reader) => ({ count: reader.number(), list: reader.maybe(readMembers) })),
    );
  }

  private async act(op: 'enter' | 'update' | 'leave', state: unknown): Promise<void> {
    const bytes = state === undefined ? undefined : stateBytes(state);
    if (op !== 'leave') this.read();
    await this.session.request<MembersPage>(calls.presence(op, this.channel, bytes));
  }
}
