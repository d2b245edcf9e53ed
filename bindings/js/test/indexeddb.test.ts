import 'fake-indexeddb/auto';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { browserHost } from '../src/host/browser.js';
import { workerHost } from '../src/host/worker.js';
import { indexedDb } from '../src/index.js';
import { fresh, kit, once, take } from './kit/kit.js';

const here = kit();
let names = 0;
const name = (): string => `db-${++names}`;
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);

const a = { clear: false, deletes: [], puts: [['a', bytes(1)]] } as const;
const b = { clear: false, deletes: [], puts: [['b', bytes(2)]] } as const;
const wipe = { clear: true, deletes: [], puts: [] } as const;

/** A browser with Web Locks. */
function giveLocks(): void {
  const held = new Set<string>();
  const request = async (lock: string, _: object, take: (lock: unknown) => Promise<void> | undefined): Promise<void> => {
    if (held.has(lock)) return take(null);
    held.add(lock);
    await take({ name: lock });
    held.delete(lock);
  };
  vi.stubGlobal('navigator', { locks: { request } });
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe('a store in IndexedDB', () => {
  test('keeps what is written, over a restart', async () => {
    const database = name();
    const first = indexedDb({ name: database });
    expect(await first.load()).toEqual([]);
    await first.commit({ clear: false, deletes: [], puts: [['a', bytes(1)], ['b', bytes(2)], ['c', bytes(3)]] });
    await first.commit({ clear: false, deletes: ['a', 'b'], puts: [['b', bytes(4)]] });
    await first.close?.();
    const second = indexedDb({ name: database });
    expect(await second.load()).toEqual([['b', bytes(4)], ['c', bytes(3)]]);
    await second.commit({ clear: true, deletes: [], puts: [['d', bytes(5)]] });
    await second.close?.();
    expect(await indexedDb({ name: database }).load()).toEqual([['d', bytes(5)]]);
  });

  test('writes strictly', async () => {
    const seen: unknown[] = [];
    const original = IDBDatabase.prototype.transaction;
    IDBDatabase.prototype.transaction = function (this: IDBDatabase, ...args: Parameters<typeof original>) {
      seen.push(args[2]);
      return original.apply(this, args);
    };
    const store = indexedDb({ name: name() });
    await store.load();
    await store.commit({ clear: false, deletes: [], puts: [['a', bytes(1)]] });
    IDBDatabase.prototype.transaction = original;
    expect(seen[seen.length - 1]).toEqual({ durability: 'strict' });
  });

  test('takes nothing after its end', async () => {
    const store = indexedDb({ name: name() });
    await store.load();
    await store.close?.();
    await expect(store.commit({ clear: false, deletes: ['a'], puts: [] })).rejects.toMatchObject({ code: 'storage.unavailable' });
  });

  test('belongs to one client at a time, where the host has locks', async () => {
    giveLocks();
    const database = name();
    const first = indexedDb({ name: database });
    await first.load();
    const second = indexedDb({ name: database });
    await expect(second.load()).rejects.toMatchObject({ code: 'client.store_locked', number: 103, retryable: true });
    const third = indexedDb({ name: database, ifLocked: 'memory' });
    expect(await third.load()).toEqual([]);
    await third.commit(a);
    expect([first.isLasting, third.isLasting]).toEqual([true, false]);
    await first.close?.();
    expect(await second.load()).toEqual([]);
    await second.close?.();
    // One that had to do without is not bound to that.
    expect(await third.load()).toEqual([]);
    await third.commit(a);
    expect(third.isLasting).toBe(true);
    await third.close?.();
    expect(await second.load()).toEqual([['a', bytes(1)]]);
  });

  test('is cleared by who does not have it once it is free, and says so before that', async () => {
    giveLocks();
    const database = name();
    const [first, second, third] = [indexedDb({ name: database }), indexedDb({ name: database, ifLocked: 'memory' }), indexedDb({ name: database })];
    await first.load();
    await first.commit(a);
    await second.load();
    await expect(second.commit(wipe)).rejects.toMatchObject({ code: 'storage.unavailable', message: expect.stringContaining('close({ wipe: true })') as string });
    await first.close?.();
    await second.commit(wipe);
    expect(await third.load()).toEqual([]);
  });

  test('is in memory by default where nothing tells who else has it', async () => {
    for (const host of [browserHost(), workerHost()]) {
      const database = name();
      const [first, second] = [host.store!(database), host.store!(database)];
      expect([await first.load(), await second.load()]).toEqual([[], []]);
      await first.commit(a);
      await second.commit(a);
      await first.commit(wipe);
      expect([first.isLasting, second.isLasting]).toEqual([false, false]);
      expect(await indexedDb({ name: database }).load()).toEqual([]);
    }
  });

  test.each([
    ['no IndexedDB', () => (giveLocks(), vi.stubGlobal('indexedDB', undefined))],
    ['locks that are denied', () => vi.stubGlobal('navigator', { locks: { request: () => Promise.reject(new Error('denied')) } })],
  ])('%s: the default is in memory, and one that is asked for says what to do', async (_, lack) => {
    lack();
    const store = browserHost().store!();
    expect(await store.load()).toEqual([]);
    await store.commit(wipe);
    expect(store.isLasting).toBe(false);
    await expect(indexedDb().load()).rejects.toMatchObject({ code: 'storage.unavailable', message: expect.stringContaining('`store: memory()`') as string });
  });

  test('that is closed while it opens has opened nothing', async () => {
    const database = name();
    const [first, second] = [indexedDb({ name: database }), indexedDb({ name: database })];
    await first.load(true);
    const loading = second.load(true);
    await second.close?.();
    await loading;
    await first.commit(a);
    await expect(second.commit(a)).rejects.toMatchObject({ code: 'storage.unavailable' });
  });

  test.each([
    ['takes a lock', false],
    ['opens a database', true],
  ])('that is used again while an earlier use %s is the later one\'s', async (_, leads) => {
    giveLocks();
    const database = name();
    const [before, other] = [indexedDb({ name: database }), indexedDb({ name: database })];
    await before.load();
    await before.commit(a);
    await before.close?.();
    const store = indexedDb({ name: database });
    const first = store.load(leads);
    void store.close?.();
    expect(await Promise.all([first, store.load()])).toEqual([[], [['a', bytes(1)]]]);
    await store.commit(b);
    await expect(other.load()).rejects.toMatchObject({ code: 'client.store_locked' });
    await store.close?.();
    expect(await other.load()).toEqual([['a', bytes(1)], ['b', bytes(2)]]);
  });

  test('that is used again while an earlier use fails is in the database', async () => {
    giveLocks();
    const database = name();
    const store = indexedDb({ name: database, ifLocked: 'memory' });
    vi.spyOn(indexedDB, 'open').mockImplementationOnce(() => {
      throw new Error('broken');
    });
    const first = store.load(true);
    void store.close?.();
    expect(await Promise.all([first, store.load()])).toEqual([[], []]);
    await store.commit(a);
    expect(store.isLasting).toBe(true);
    await store.close?.();
    expect(await store.load()).toEqual([['a', bytes(1)]]);
  });

  test('makes a receipt say whether its message outlives the page', async () => {
    giveLocks();
    const database = name();
    const store = (): ReturnType<typeof indexedDb> => indexedDb({ name: database, ifLocked: 'memory' });
    const clients = [here.client('alice', { store: store() }), here.client('alice', { store: store() })];
    const receipts = [];
    for (const client of clients) {
      const receipt = client.channel(fresh()).publish('x');
      await receipt.queued;
      receipts.push(receipt);
    }
    expect(receipts.map(({ isKept }) => isKept)).toEqual([true, false]);
    await expect(clients[1]!.close({ wipe: true })).rejects.toMatchObject({ code: 'storage.unavailable', message: expect.stringContaining('another tab has the store') as string });
    await clients[0]!.close({ wipe: true });
  });

  test('brings what was published offline to the next client', async () => {
    const [database, channel] = [name(), fresh()];
    const room = here.client('bob').channel(channel);
    const messages = room.messages();
    await once((handler) => room.on('subscribed', handler));
    const offline = here.client('alice', { url: 'ws://127.0.0.1:1/ws', store: indexedDb({ name: database }) });
    const receipt = offline.channel(channel).publish('later', { qos: 2 });
    await receipt.queued;
    await offline.close();
    await expect(receipt.stored).rejects.toMatchObject({ code: 'client.closed' });
    const online = here.client('alice', { store: indexedDb({ name: database }) });
    await online.connect();
    expect(online.restored.map(({ id }) => id)).toEqual([receipt.id]);
    expect(await online.restored[0]!.stored).toMatchObject({ offset: 1 });
    expect((await take(1, messages)).map(({ text, id }) => [text, id])).toEqual([['later', receipt.id]]);
  });
});
