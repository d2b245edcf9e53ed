import type { Host, Store } from '../../src/host/host.js';
import { nodeHost } from '../../src/host/node.js';
import type { Locks, TabEnvironment } from '../../src/tabs/environment.js';
import { memory } from '../../src/store/memory.js';

interface Held { readonly client: string; release(): void; readonly lost: (error: Error) => void }

/** A browser with tabs: Web Locks, channels between tabs and a store that outlives them. Each can be frozen or killed. */
export class FakeBrowser {
  readonly tabs: FakeTab[] = [];
  readonly held = new Map<string, Held>();
  readonly queues = new Map<string, { readonly client: string; grant(): void }[]>();
  private readonly stores = new Map<string, Store>();

  tab(): FakeTab {
    const tab = new FakeTab(this, `client-${this.tabs.length}`);
    this.tabs.push(tab);
    return tab;
  }

  /** A store that fences off who opened it before. */
  store(name: string, tab: FakeTab): Store {
    const inner = this.stores.get(name) ?? memory();
    this.stores.set(name, inner);
    return {
      shared: name,
      of: (group) => this.store(`${name}-${group}`, tab),
      load: () => inner.load(),
      commit: (batch) => (tab.isDead ? new Promise<void>(() => undefined) : inner.commit(batch)),
    };
  }

  next(name: string): void {
    if (this.held.has(name)) return;
    this.queues.get(name)?.shift()?.grant();
  }
}

export class FakeTab {
  isDead = false;
  /** What goes on for 5 s in a browser, such as the time between beats, ms. */
  beat = 50;
  private readonly awayness = new Set<(isAway: boolean) => void>();
  private frozen: (() => void)[] | undefined;
  private readonly channels = new Map<string, Set<(message: unknown) => void>>();
  private readonly sockets = new Set<() => void>();

  constructor(
    private readonly browser: FakeBrowser,
    readonly client: string,
  ) {}

  /** Runs what happens to this tab: later while it is frozen, never once it is dead. */
  run(act: () => void): void {
    if (this.isDead) return;
    if (this.frozen) this.frozen.push(act);
    else act();
  }

  freeze(): void {
    this.frozen = [];
  }

  thaw(): void {
    const waited = this.frozen ?? [];
    this.frozen = undefined;
    for (const act of waited) act();
  }

  /** Puts the page away as a browser does that says so, or brings it back. */
  putAway(isAway: boolean): void {
    for (const tell of this.awayness) tell(isAway);
  }

  /** Ends it as a crash does: nothing runs any more, its locks and sockets go. */
  crash(): void {
    this.isDead = true;
    for (const close of this.sockets) close();
    for (const [name, held] of [...this.browser.held]) {
      if (held.client !== this.client) continue;
      this.browser.held.delete(name);
      this.browser.next(name);
    }
    for (const [name, queue] of this.browser.queues) this.browser.queues.set(name, queue.filter((entry) => entry.client !== this.client));
  }

  host(): Host {
    const node = nodeHost();
    return {
      ...node,
      name: 'browser',
      // Beats go a hundred times faster than in a browser; the core's own timers keep their pace.
      timer: (ms, fire) => node.timer(ms === 5000 ? this.beat : ms, () => this.run(fire)),
      open: (url, events) => {
        const socket = node.open(url, {
          opened: () => this.run(() => events.opened()),
          frame: (data) => this.run(() => events.frame(data)),
          closed: (code, reason) => this.run(() => events.closed(code, reason)),
        });
        this.sockets.add(() => socket.close(1000, ''));
        return { ...socket, buffered: undefined, send: (frame) => (this.isDead ? undefined : socket.send(frame)), close: socket.close };
      },
      store: (name) => this.browser.store(name ?? 'moorline', this),
      tabs: () => this.environment(),
    };
  }

  /** The channels that it has open. */
  get opened(): string[] {
    return [...this.channels].filter(([, takers]) => takers.size > 0).map(([name]) => name);
  }

  private environment(): TabEnvironment {
    return {
      locks: this.locks(),
      open: (name, take) => {
        const set = this.channels.get(name) ?? new Set();
        this.channels.set(name, set.add(take));
        return {
          post: (message) => {
            if (this.isDead) return;
            const copy = structuredClone(message);
            for (const tab of this.browser.tabs) {
              if (tab === this) continue;
              for (const to of tab.channels.get(name) ?? []) setImmediate(() => tab.run(() => tab.channels.get(name)?.has(to) && to(copy)));
            }
          },
          close: () => void set.delete(take),
        };
      },
      digest: async (text) => Buffer.from(text).toString('base64url'),
      now: () => Date.now(),
      away: (tell) => {
        this.awayness.add(tell);
        return () => void this.awayness.delete(tell);
      },
    };
  }

  private locks(): Locks {
    const { browser, client } = this;
    return {
      request: (name, options, run) =>
        new Promise((resolve, reject) => {
          const grant = (): void => {
            const mine: Held = { client, release: () => undefined, lost: reject };
            browser.held.set(name, mine);
            setImmediate(() =>
              this.run(() => {
                void run().then(() => {
                  if (browser.held.get(name) === mine) {
                    browser.held.delete(name);
                    browser.next(name);
                  }
                  resolve(undefined);
                });
              }),
            );
          };
          if (options.steal) {
            const before = browser.held.get(name);
            const owner = browser.tabs.find((tab) => tab.client === before?.client);
            if (before) owner?.run(() => before.lost(new Error('stolen')));
            return grant();
          }
          const entry = { client, grant };
          const queue = browser.queues.get(name) ?? [];
          browser.queues.set(name, queue);
          queue.push(entry);
          options.signal?.addEventListener('abort', () => {
            browser.queues.set(name, (browser.queues.get(name) ?? []).filter((other) => other !== entry));
            reject(new Error('aborted'));
          });
          browser.next(name);
        }),
      query: async () => ({ held: [...browser.held].map(([name, held]) => ({ name, clientId: held.client })) }),
    };
  }
}
