import { beforeEach, describe, expect, test } from 'vitest';
import { keyValueOf } from '../../src/host/mini/storage.js';
import type { Store, StoreBatch } from '../../src/host/host.js';
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
  /** Keys that cannot be read, this many times. */
  readonly deaf = new Map<string, number>();

  keys = (): Promise<readonly string[]> => Promise.resolve([...this.entries.keys()]);
  get = async (key: string): Promise<string | undefined> => {
    const left = this.deaf.get(key) ?? 0;
    if (left === 0) return this.entries.get(key);
    this.deaf.set(key, left - 1);
    throw new Error('a read that failed');
  };
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

const reports: unknown[] = [];
beforeEach(() => void (reports.length = 0));
const options = { name: 'moorline', keyBytes: 100_000, bytes: 400_000, report: (error: unknown) => reports.push(error) };
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

  test.each([
    'setStorage:fail exceed storage max size 10Mb', 'quota reached', 'database or disk is full (code 13 SQLITE_FULL)', '存储空间不足', '数据大小超出限制', '21102',
  ])('in words or by number: %s', async (why) => {
    const storage = new Storage();
    const store = sharded(storage, options);
    await store.load();
    storage.set = () => Promise.reject(new Error(why));
    await expect(commit(store, 'a')).rejects.toMatchObject({ code: 'storage.full' });
    storage.set = () => Promise.reject(new Error('internal error'));
    await expect(commit(store, 'a')).rejects.toThrow('internal error');
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

  test('what cannot be read is not nothing: the start fails, and the next one finds all', async () => {
    const storage = new Storage();
    await put(sharded(storage, options), 'a', 'b');
    for (const key of ['moorline:0', 'moorline:owner']) {
      storage.deaf.set(key, 1);
      await expect(sharded(storage, options).load()).rejects.toMatchObject({ code: 'storage.unavailable' });
      expect(show(await sharded(storage, options).load())).toBe('a=5:97 b=5:98');
    }
    const { get } = storage;
    storage.get = (key) => (key === 'moorline:0' ? Promise.resolve(undefined) : get(key));
    await expect(sharded(storage, options).load()).rejects.toMatchObject({ code: 'storage.unavailable' });
    storage.get = get;
    const store = sharded(storage, options);
    await store.load();
    storage.deaf.set('moorline:owner', 1);
    await expect(commit(store, 'c')).rejects.toThrow('a read that failed');
    await commit(store, 'd');
    expect(show(await sharded(storage, options).load())).toBe('a=5:97 b=5:98 d=5:100');
  });

  test('the whole storage is cleared under it, as on a logout: goes on with what it kept', async () => {
    const storage = new Storage();
    const store = sharded(storage, options);
    await put(store, 'a', 'b');
    storage.entries.clear();
    storage.left = 1;
    await expect(commit(store, 'c')).rejects.toThrow('a write that failed');
    await commit(store, 'd');
    await store.commit({ clear: false, deletes: ['a'], puts: [] });
    expect(show(await sharded(storage, options).load())).toBe('b=5:98 d=5:100');
    expect(reports).toEqual([]);
  });

  test('who opens a storage that was cleared is not taken for who had it before', async () => {
    const storage = new Storage();
    const [before, after] = [sharded(storage, options), sharded(storage, options)];
    await before.load();
    storage.entries.clear();
    const { now } = Date;
    Date.now = () => now() + 1;
    await after.load();
    Date.now = now;
    await expect(commit(before, 'a')).rejects.toMatchObject({ code: 'client.store_locked' });
    await commit(after, 'b');
    expect(show(await sharded(storage, options).load())).toBe('b=5:98');
  });

  test.each([
    ['the end of the last line', (text: string) => text.slice(0, -9), 'a=5:97'],
    ['the end of the last line, but for its break', (text: string) => text.slice(0, -1), 'a=5:97 b=5:98'],
    ['all', () => '', ''],
    ['a line in the middle', (text: string) => text.replace('[3,', '{3,'), ''],
    ['a line that is JSON of something else', (text: string) => `${text}null\n[3]\n`, 'a=5:97 b=5:98'],
  ])('a shard that is torn, %s: keeps what is before, says what is lost, and goes on', async (_, tear, left) => {
    const storage = new Storage();
    await put(sharded(storage, options), 'a', 'b');
    const whole = storage.entries.get('moorline:0')!;
    storage.entries.set('moorline:0', tear(whole));
    const store = sharded(storage, options);
    expect(show(await store.load())).toBe(left);
    const isLost = whole.length - tear(whole).length !== 1;
    expect(reports).toEqual(isLost ? [expect.objectContaining({ code: 'storage.unavailable', message: expect.stringContaining('moorline:0 was damaged') as string })] : []);
    reports.length = 0;
    await commit(store, 'z');
    expect(show(await sharded(storage, options).load())).toBe(`${left} z=5:122`.trim());
    expect(reports).toEqual([]);
  });

  test('what follows of a batch whose beginning is torn counts for nothing, at the next start, too', async () => {
    const storage = new Storage();
    const store = sharded(storage, options);
    await put(store, 'a');
    await store.commit({ clear: false, deletes: [], puts: ['x', 'y', 'z'].map((key) => [key, bytes(50_000, 1)]) });
    await put(store, 'b');
    expect([...storage.entries.keys()].length).toBeGreaterThan(3);
    const first = [...storage.entries].find(([, text]) => text.startsWith('[1,'))![0];
    storage.entries.set(first, storage.entries.get(first)!.slice(0, 1000));
    for (let start = 0; start < 2; start++) expect(show(await sharded(storage, options).load())).toBe('a=5:97 b=5:98');
  });
});

async function commit(store: Store, key: string): Promise<void> {
  await store.commit({ clear: false, deletes: [], puts: [[key, bytes(5, key.charCodeAt(0))]] });
}

/** Opens it, and puts these, each by itself. */
async function put(store: Store, ...keys: string[]): Promise<void> {
  await store.load();
  for (const key of keys) await commit(store, key);
}

describe('the storage of a mini-program', () => {
  /** Answers as a vendor does: what is not there fails, or is null. */
  function vendor(entries: Map<string, string>, missing: 'fails' | 'null') {
    let failures = 0;
    return {
      fail: (times: number) => void (failures = times),
      api: {
        getStorage({ key, success, fail }: { key: string; success: (answer: { data?: unknown }) => void; fail: (why: object) => void }): void {
          if (failures-- > 0) fail({ errMsg: 'getStorage:fail busy' });
          else if (entries.has(key)) success({ data: entries.get(key) });
          else if (missing === 'null') success({ data: null });
          else fail({ errMsg: 'getStorage:fail data not found' });
        },
        getStorageInfo: ({ success }: { success: (info: { keys: string[] }) => void }) => success({ keys: [...entries.keys()] }),
      } as never,
    };
  }

  test.each(['fails', 'null'] as const)('a key that is not there (%s) is nothing; one that is there and cannot be read is not', async (missing) => {
    const { api, fail } = vendor(new Map([['a', '1']]), missing);
    const storage = keyValueOf(api);
    expect([await storage.get('a'), await storage.get('b')]).toEqual(['1', undefined]);
    fail(1);
    expect(await storage.get('a')).toBe('1');
    fail(2);
    await expect(storage.get('a')).rejects.toThrow('getStorage:fail busy');
    fail(1);
    expect(await storage.get('b')).toBeUndefined();
  });
});
