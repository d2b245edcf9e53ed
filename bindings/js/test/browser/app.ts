// A small app, steered from outside: one client, one channel, and a record of what it was told.
import { type Client, type Channel, createClient, indexedDb } from 'moorline';

interface Settings {
  readonly url: string;
  readonly user: string;
  readonly channel: string;
}

const wakes: (() => void)[] = [];

/** Notes something, and wakes who waits for it. */
function note(act: () => void): void {
  act();
  for (const wake of wakes.splice(0)) wake();
}

const app = {
  client: undefined as Client | undefined,
  room: undefined as Channel | undefined,
  received: [] as unknown[],
  states: [] as string[],
  signals: [] as string[],
  /** The ids that the store has: these must not be lost, whatever happens to this page. */
  kept: [] as string[],
  failed: [] as unknown[],
  stored: 0,
  ticks: [] as number[],

  async start({ url, user, channel }: Settings): Promise<void> {
    const client = createClient({ url, token: `dev:${user}`, store: indexedDb({ name: user }), backoff: { min: 100, max: 500 }, connectTimeout: 2000 });
    client.on('state', (state, { kind }) => app.states.push(`${state}: ${kind}`));
    const room = client.channel(channel, { qos: 2 });
    Object.assign(app, { client, room });
    room.on('message', (message) => note(() => app.received.push(message.data)));
    await new Promise<unknown>((resolve) => void room.on('subscribed', resolve));
  },

  /** Publishes so many numbers, and waits for nothing. */
  publish(first: number, count: number, fill?: string): void {
    for (let value = first; value < first + count; value++) {
      const receipt = app.room!.publish(fill === undefined ? value : { value, fill });
      receipt.queued.then(
        () => app.kept.push(receipt.id),
        (error: { code: string }) => app.failed.push(error.code),
      );
      receipt.stored.then(() => app.stored++, () => undefined);
    }
  },

  /** Waits until something is so. */
  until(is: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => (is() ? resolve() : void setTimeout(look, 10));
      look();
    });
  },

  /** Waits, without a timer, until a list has so many. */
  async heard(list: 'received' | 'signals', count: number): Promise<void> {
    while (app[list].length < count) await new Promise<void>((wake) => void wakes.push(wake));
  },

  /** Notes when timers of 100 ms come. */
  tick(): void {
    note(() => app.ticks.push(performance.now()));
    setTimeout(app.tick, 100);
  },

  /** Waits until a timer of 100 ms has taken so many ms. */
  async late(ms: number): Promise<void> {
    while (!app.ticks.some((at, index) => at - (app.ticks[index - 1] ?? at) > ms)) await new Promise<void>((wake) => void wakes.push(wake));
  },

  /** Waits until what the last page left is stored. */
  async drain(): Promise<number> {
    const { restored } = app.client!;
    await Promise.all(restored.map((receipt) => receipt.stored));
    return restored.length;
  },
};

for (const name of ['online', 'offline', 'pageshow', 'pagehide']) {
  addEventListener(name, (event) => note(() => app.signals.push(name + ('persisted' in event && event.persisted ? ' persisted' : ''))));
}
for (const name of ['freeze', 'resume', 'visibilitychange']) {
  document.addEventListener(name, () => note(() => app.signals.push(name === 'visibilitychange' ? document.visibilityState : name)));
}

Object.assign(globalThis, { app });
