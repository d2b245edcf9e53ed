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

/**
 * A store in IndexedDB, written strictly: what it says is kept is on the disk. When the browser gives it no more room,
 * publishes that need it fail with `storage.full`.
 */
export function indexedDb(options: IndexedDbOptions = {}): Store {
  const name = options.name ?? 'moorline';
  let database: IDBDatabase | undefined;
  let release: (() => void) | undefined;
  let instead: Store | undefined;
  return {
    async load(): Promise<readonly StoreEntry[]> {
      try {
        release = await takeLock(`moorline:${name}`);
        if (!release && options.ifLocked === 'memory') return (instead = memory()).load();
        if (!release) throw new MoorlineError('client.store_locked', `another client uses the store ${name}: close that one first, or give each a name`);
        const opened = await openDatabase(name, table);
        // Another version of the page wants to change it, or the user clears it: writes fail from now on.
        opened.onversionchange = () => opened.close();
        database = opened;
        return await readAll(opened);
      } catch (error) {
        release?.();
        throw wrap('storage.unavailable', error);
      }
    },
    async commit(batch: StoreBatch): Promise<void> {
      if (instead) return instead.commit(batch);
      if (!database) throw new MoorlineError('storage.unavailable', 'the store is closed');
      await write(database, batch);
    },
    close(): void {
      database?.close();
      database = undefined;
      release?.();
    },
  };
}

function readAll(database: IDBDatabase): Promise<StoreEntry[]> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(table);
    const keys = transaction.objectStore(table).getAllKeys();
    const values = transaction.objectStore(table).getAll() as IDBRequest<Uint8Array[]>;
    transaction.oncomplete = () => resolve(keys.result.map((key, index) => [String(key), values.result[index]!] as const));
    transaction.onabort = () => reject(transaction.error ?? new Error('the database could not be read'));
  });
}

function write(database: IDBDatabase, batch: StoreBatch): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(table, 'readwrite', { durability: 'strict' });
    const entries = transaction.objectStore(table);
    if (batch.clear) entries.clear();
    for (const key of batch.deletes) entries.delete(key);
    for (const [key, value] of batch.puts) entries.put(value, key);
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('the database took nothing'));
  });
}
