import { MoorlineError, wrap } from '../errors.js';
import { openDatabase } from '../host/database.js';
import { takeLock } from '../host/locks.js';
import type { Store, StoreBatch, StoreEntry } from '../host/host.js';
import { memory } from './memory.js';

/** Settings of a store in IndexedDB. */
export interface IndexedDbOptions {
  /** The database's name (default `moorline`). Clients that run at once need one each. */
  readonly name?: string;
  /**
   * What becomes of a client whose database another client uses, in this page or in another tab: `'fail'` ends it with
   * `client.store_locked` (default), `'memory'` lets it run without a store that lasts.
   */
  readonly ifLocked?: 'fail' | 'memory';
}

const table = 'entries';
/** Who has opened it last, and may write. */
const owner = '!owner';

/**
 * A store in IndexedDB, written strictly: what it says is kept is on the disk. When the browser gives it no more room,
 * publishes that need it fail with `storage.full`.
 */
export function indexedDb(options: IndexedDbOptions = {}): Store {
  const name = options.name ?? 'moorline';
  let database: IDBDatabase | undefined;
  /** Which opening of the database this is: a later one takes over. */
  let self = 0;
  let release: (() => void) | undefined;
  let instead: Store | undefined;
  return {
    shared: name,
    of: (group) => indexedDb({ ...options, name: `${name}-${group}` }),
    async load(leads = false): Promise<readonly StoreEntry[]> {
      try {
        // A tab that leads takes it from one that is frozen: who has opened it last may write.
        release = leads ? () => undefined : await takeLock(`moorline:${name}`);
        if (!release && options.ifLocked === 'memory') return (instead = memory()).load();
        if (!release) throw new MoorlineError('client.store_locked', `another client uses the store ${name}: close that one first, or give each a name`);
        const opened = await openDatabase(name, table);
        // Another version of the page wants to change it, or the user clears it: writes fail from now on.
        const gone = (): void => void (database = undefined);
        opened.onversionchange = () => (gone(), opened.close());
        opened.onclose = gone;
        database = opened;
        const { entries, opening } = await readAll(opened);
        self = opening;
        return entries;
      } catch (error) {
        release?.();
        throw wrap('storage.unavailable', error);
      }
    },
    async commit(batch: StoreBatch): Promise<void> {
      if (instead) return instead.commit(batch);
      if (!database) throw new MoorlineError('storage.unavailable', 'the store is closed');
      await write(database, batch, self);
    },
    close(): void {
      database?.close();
      database = undefined;
      release?.();
    },
  };
}

function readAll(database: IDBDatabase): Promise<{ entries: StoreEntry[]; opening: number }> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(table, 'readwrite', { durability: 'strict' });
    const entries = transaction.objectStore(table);
    const keys = entries.getAllKeys();
    const values = entries.getAll() as IDBRequest<Uint8Array[]>;
    const before = entries.get(owner) as IDBRequest<number | undefined>;
    let opening = 1;
    before.onsuccess = () => {
      opening = (before.result ?? 0) + 1;
      entries.put(opening, owner);
    };
    transaction.oncomplete = () => {
      const all = keys.result.map((key, index) => [String(key), values.result[index]!] as const);
      resolve({ entries: all.filter(([key]) => key !== owner), opening });
    };
    transaction.onabort = () => reject(transaction.error ?? new Error('the database could not be read'));
  });
}

function write(database: IDBDatabase, batch: StoreBatch, self: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(table, 'readwrite', { durability: 'strict' });
    const entries = transaction.objectStore(table);
    const found = entries.get(owner);
    let why: unknown;
    found.onsuccess = () => {
      if (found.result !== self) {
        why = new MoorlineError('client.store_locked', `another page has opened the store ${database.name}`);
        return transaction.abort();
      }
      if (batch.clear) entries.clear().onsuccess = () => entries.put(self, owner);
      for (const key of batch.deletes) entries.delete(key);
      for (const [key, value] of batch.puts) entries.put(value, key);
    };
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(why ?? transaction.error ?? new Error('the database took nothing'));
  });
}
