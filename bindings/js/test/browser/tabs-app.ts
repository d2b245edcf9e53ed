// One of several tabs, steered from outside: it publishes, notes what it is told, and can be held at each step of a publish.
import { type Channel, type Client, type Member, type Receipt, type Store, createClient, indexedDb } from 'moorline';
import { shareTabs } from 'moorline/tabs';

/** Before the store has it, before it is sent, before the answer comes. */
type Step = 'persist' | 'send' | 'receipt';

let held: Step | undefined;
const waiting: (() => void)[] = [];
const notes = new TextDecoder('latin1');

/** Runs an act, or keeps it while its step is held. What is held is noted by its bytes. */
function pass(step: Step, bytes: ArrayBuffer | Uint8Array, act: () => void): void {
  if (held !== step) return act();
  app.held.push(notes.decode(bytes));
  waiting.push(act);
  changed();
}

class Socket extends WebSocket {
  override send(data: Uint8Array<ArrayBuffer>): void {
    const bytes = data.slice();
    pass('send', bytes, () => super.send(bytes));
  }
  override set onmessage(take: ((event: MessageEvent) => unknown) | null) {
    super.onmessage = (event: MessageEvent<ArrayBuffer>) => pass('receipt', event.data, () => take?.call(this, event));
  }
}

/** A store whose commits can be held. */
function steered(inner: Store): Store {
  return {
    ...inner,
    of: (group) => steered(inner.of!(group)),
    commit: (batch) =>
      new Promise<void>((resolve, reject) => {
        const said = batch.puts.map(([, value]) => notes.decode(value)).join();
        pass('persist', new TextEncoder().encode(said), () => void Promise.resolve(inner.commit(batch)).then(resolve, reject));
      }),
  };
}

let wakes: (() => void)[] = [];
function changed(): void {
  for (const wake of wakes.splice(0)) wake();
}

const app = {
  client: undefined as Client | undefined,
  room: undefined as Channel | undefined,
  seen: [] as unknown[],
  members: [] as readonly Member[],
  /** How far each own message is, by its text. */
  states: {} as Record<string, string>,
  held: [] as string[],
  signals: [] as string[],
  closed: undefined as string | undefined,

  async start({ url, user, channel }: { url: string; user: string; channel: string }): Promise<void> {
    Object.assign(globalThis, { WebSocket: Socket });
    const store = steered(indexedDb({ name: user }));
    const client = createClient({ url, token: `dev:${user}`, store, backoff: { min: 100, max: 500 }, connectTimeout: 2000, tabs: shareTabs() });
    client.connection.subscribe(() => {
      const { current } = client.connection;
      if (current.state === 'closed') app.closed = current.cause?.code ?? 'closed';
      changed();
    });
    const room = client.channel(channel, { qos: 2, presence: 'join', state: { nick: user } });
    Object.assign(app, { client, room });
    room.on('message', (message) => {
      app.seen.push(message.text);
      changed();
    });
    room.presence.on('change', () => {
      app.members = room.presence.members;
      changed();
    });
    await new Promise<unknown>((resolve) => void room.on('subscribed', resolve));
  },

  /** Holds everything at a step, until `release`. */
  hold(step: Step): void {
    held = step;
  },

  release(): void {
    held = undefined;
    for (const act of waiting.splice(0)) act();
  },

  publish(text: string, fill = ''): void {
    const receipt: Receipt = app.room!.publish(text + fill);
    const note = (): void => {
      app.states[text] = receipt.state;
      changed();
    };
    note();
    receipt.queued.then(() => {
      if (app.states[text] === 'queued') app.states[text] = 'kept';
      changed();
    }, () => undefined);
    receipt.stored.then(note, (error: { code: string }) => {
      app.states[text] = error.code;
      changed();
    });
  },

  /** The keys of what the database of a user's tabs has. */
  async entries(user: string): Promise<IDBValidKey[]> {
    const { name } = (await indexedDB.databases()).find((database) => database.name!.startsWith(user))!;
    return new Promise((resolve, reject) => {
      const opening = indexedDB.open(name!);
      opening.onerror = () => reject(opening.error as Error);
      opening.onsuccess = () => {
        const keys = opening.result.transaction('entries').objectStore('entries').getAllKeys();
        keys.onsuccess = () => {
          opening.result.close();
          resolve(keys.result);
        };
      };
    });
  },

  /** Waits until something is so. It is looked at whenever something happens. */
  async until(is: () => boolean): Promise<void> {
    while (!is()) await new Promise<void>((wake) => wakes.push(wake));
  },
};

for (const name of ['pageshow', 'pagehide'] as const) {
  addEventListener(name, (event) => app.signals.push(name + (event.persisted ? ' persisted' : '')));
}
document.addEventListener('freeze', () => app.signals.push('freeze'));
addEventListener('pageshow', changed);

Object.assign(globalThis, { app });
