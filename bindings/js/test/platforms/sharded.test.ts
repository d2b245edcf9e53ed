import { describe, expect, test } from 'vitest';
import type { StoreBatch } from '../../src/host/host.js';
import { type KeyValue, sharded } from '../../src/store/sharded.js';

/** A storage with limits, that fails or dies at a write. */
class Storage implements KeyValue {
  readonly entries = new Map<string, string>();
  largest = 0;
  writes = 0;
  /** Writes from now on that still work; the next one is refused, or is the end of the app. */
  left = Infinity;
  ends: 'refused' | 'dead' = 'refused';
  room = Infinity;

  keys = (): Promise<readonly string[]> => Promise.resolve([...this.entries.keys()]);
  get = (key: string): Promise<string | undefined> => Promise.resolve(this.entries.get(key));
  set = async (key: string, value: string): Promise<void> => {
    this.use();
    const total = [...this.entries].reduce((sum, [other, kept]) => sum + (other === key ? 0 : kept.length), value.length);
    if (total > this.room) throw new Error('exceed storage max size');
    this.largest = Math.max(this.largest, value.length);
    this.entries.set(key, value);
  };
  remove = async (key: string): Promise<void> => {
    if (this.ends === 'dead') this.use();
    this.entries.delete(key);
  };

  get size(): number {
    return [...this.entries.values()].reduce((sum, value) => sum + value.length, 0);
  }

  private use(): void {
    this.writes++;
    if (this.left-- > 0) return;
    if (this.ends === 'dead') this.left = 0;
    else this.left = Infinity;
    throw new Error('a write that failed');
  }
}

const options = { name: 'moorline', keyBytes: 100_000, bytes: 400_000 };
const bytes = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);
const show = (entries: Iterable<readonly [string, Uint8Array]>): string => [...entries].map(([key, value]) => `${key}=${value.length}:${value[0] ?? ''}`).sort().join(' ');

/** A small generator: the same seed, the same run. */
function dice(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function batchOf(roll: (below: number) => number): StoreBatch {
  const key = (): string => `k${roll(12)}`;
  const puts = Array.from({ length: roll(4) }, () => [key(), bytes(roll(4) === 0 ? 50_000 : roll(300), roll(256))] as const);
  return { clear: roll(40) === 0, deletes: Array.from({ length: roll(3) }, key), puts: [...new Map(puts)] };
}

function apply(model: Map<string, Uint8Array>, batch: StoreBatch): void {
  if (batch.clear) model.clear();
  for (const key of batch.deletes) model.delete(key);
  for (const [key, value] of batch.puts) model.set(key, value);
}

describe('a store in shards', () => {
  test.each(Array.from({ length: 60 }, (_, seed) => seed))('seed %d: keeps what it said it kept, and nothing else, over refusals and deaths', async (seed) => {
    const roll = dice(seed);
    const storage = new Storage();
    let store = sharded(storage, options);
    let model = new Map<string, Uint8Array>();
    await store.load();
    for (let i = 0; i < 120; i++) {
      const batch = batchOf(roll);
      const fate = roll(6);
      if (fate < 2) [storage.left, storage.ends] = [roll(3), fate === 0 ? 'refused' : 'dead'];
      const after = new Map(model);
      apply(after, batch);
      const isKept = await Promise.resolve(store.commit(batch)).then(() => true, () => false);
      const isDead = storage.ends === 'dead';
      [storage.left, storage.ends] = [Infinity, 'refused'];
      if (isDead || roll(20) === 0) {
        store = sharded(storage, options);
        const found = show(await store.load());
        // What died on the way is there whole or not at all; what was said to be kept is there.
        if (isKept) expect(found).toBe(show(after));
        else expect([show(after), show(model)]).toContain(found);
        model = found === show(after) ? after : model;
      } else if (isKept) model = after;
      else if (batch.clear) {
        // A wipe that is refused may have come half way: the next start finds one or the other.
        store = sharded(storage, options);
        const found = show(await store.load());
        expect([show(after), show(model)]).toContain(found);
        model = found === show(after) ? after : model;
      }
      expect(storage.largest).toBeLessThanOrEqual(options.keyBytes);
      expect(storage.size).toBeLessThanOrEqual(options.bytes + 20_000);
    }
    expect(show(await sharded(storage, options).load())).toBe(show(model));
  });

  test('refuses what came last when it is full, and says so; room that is given back is used', async () => {
    const store = sharded(new Storage(), options);
    await store.load();
    const put = (key: string): Promise<unknown> => Promise.resolve(store.commit({ clear: false, deletes: [], puts: [[key, bytes(60_000, 1)]] })).then(() => 'kept', (error: { code?: string }) => error.code);
    expect(await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map(put))).toEqual(['kept', 'kept', 'kept', 'kept', 'storage.full', 'storage.full']);
    await store.commit({ clear: false, deletes: ['a', 'b'], puts: [] });
    expect([await put('e'), await put('f'), await put('g')]).toEqual(['kept', 'kept', 'storage.full']);
    expect(show(await store.load())).toBe('c=60000:1 d=60000:1 e=60000:1 f=60000:1');
  });

  test('says so when it is the platform that has no room', async () => {
    const storage = new Storage();
    storage.room = 100_000;
    const store = sharded(storage, options);
    await store.load();
    await store.commit({ clear: false, deletes: [], puts: [['a', bytes(60_000, 1)]] });
    await expect(store.commit({ clear: false, deletes: [], puts: [['b', bytes(60_000, 1)]] })).rejects.toMatchObject({ code: 'storage.full' });
    expect(show(await store.load())).toBe('a=60000:1');
  });

  test('what is refused half way takes no room', async () => {
    const storage = new Storage();
    const store = sharded(storage, options);
    await store.load();
    await store.commit({ clear: false, deletes: [], puts: [['a', bytes(10, 1)]] });
    const before = new Map(storage.entries);
    storage.room = 150_000;
    const puts = ['b', 'c', 'd'].map((key) => [key, bytes(50_000, 1)] as const);
    await expect(store.commit({ clear: false, deletes: [], puts })).rejects.toMatchObject({ code: 'storage.full' });
    expect(storage.entries).toEqual(before);
  });

  test('writes once for many commits', async () => {
    const storage = new Storage();
    const store = sharded(storage, options);
    await store.load();
    const before = storage.writes;
    await Promise.all(Array.from({ length: 100 }, (_, i) => store.commit({ clear: false, deletes: [], puts: [[`k${i}`, bytes(10, i)]] })));
    expect(storage.writes - before).toBeLessThan(5);
  });

  test('a wipe leaves nothing of what was there', async () => {
    const storage = new Storage();
    const store = sharded(storage, options);
    await store.load();
    for (let i = 0; i < 50; i++) await store.commit({ clear: false, deletes: [], puts: [[`k${i}`, new TextEncoder().encode(`secret ${i}`.repeat(100))]] });
    await store.commit({ clear: true, deletes: [], puts: [] });
    expect([...storage.entries.values()].join('')).not.toContain('k1');
    expect(storage.size).toBeLessThan(100);
  });

  test('who has opened it last may write', async () => {
    const storage = new Storage();
    const [first, second] = [sharded(storage, options), sharded(storage, options)];
    await first.load();
    await second.load();
    await expect(first.commit({ clear: false, deletes: [], puts: [['a', bytes(1, 1)]] })).rejects.toMatchObject({ code: 'client.store_locked' });
    await second.commit({ clear: false, deletes: [], puts: [['a', bytes(1, 2)]] });
    expect(show(await sharded(storage, options).load())).toBe('a=1:2');
  });
});
