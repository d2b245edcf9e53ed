import 'fake-indexeddb/auto';
import { describe, expect, test } from 'vitest';
import { indexedDb } from '../src/index.js';
import { fresh, kit, once, take } from './kit/kit.js';

const here = kit();
let names = 0;
const name = (): string => `db-${++names}`;
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);

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
    const held = new Set<string>();
    const request = async (lock: string, _: object, take: (lock: unknown) => Promise<void> | undefined): Promise<void> => {
      if (held.has(lock)) return take(null);
      held.add(lock);
      await take({ name: lock });
      held.delete(lock);
    };
    Object.defineProperty(globalThis, 'navigator', { value: { locks: { request } }, configurable: true });
    try {
      const database = name();
      const first = indexedDb({ name: database });
      await first.load();
      const second = indexedDb({ name: database });
      await expect(second.load()).rejects.toMatchObject({ code: 'client.store_locked', number: 103, retryable: true });
      const third = indexedDb({ name: database, ifLocked: 'memory' });
      expect(await third.load()).toEqual([]);
      await third.commit({ clear: false, deletes: [], puts: [['a', bytes(1)]] });
      await first.close?.();
      await Promise.resolve();
      expect(await second.load()).toEqual([]);
    } finally {
      Reflect.deleteProperty(globalThis, 'navigator');
    }
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
