import { MoorlineError, isMoorlineError, messageOf } from '../errors.js';
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
   * `client.store_locked` (default), `'memory'` lets it run without a store that lasts, also where the browser has no
   * database, or no Web Locks to tell who uses it.
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
  const isOptional = options.ifLocked === 'memory';
  let database: IDBDatabase | undefined;
  /** Which opening of the database this is: a later one takes over. */
  let self = 0;
  let release: (() => void) | undefined;
  let instead: Store | undefined;
  /** Another client has the database. */
  let isLocked = false;
  /** Which use of this store it is. */
  let use = 0;
  /** The end of the latest load: the next one begins after it, so that they do not keep each other's lock or close each other's database. */
  let loading: Promise<unknown> | undefined;

  const letGo = (): void => {
    database?.close();
    release?.();
    database = instead = release = undefined;
  };
  const close = (): void => {
    use++;
    letGo();
  };
  const open = async (own: number, leads: boolean): Promise<readonly StoreEntry[]> => {
    // A tab that leads takes it from one that is frozen: who has opened it last may write.
    release = leads ? () => undefined : await takeLock(`moorline:${name}`, isOptional);
    isLocked = !release;
    if (!release) throw new MoorlineError('client.store_locked', `another client uses the store ${name}: close that one first, or give each a name`);
    const opened = await openDatabase(name, table);
    database = opened;
    if (own !== use) return letGo(), [];
    // Another version of the page wants to change it, or the user clears it: writes fail from now on.
    const gone = (): void => void (database = undefined);
    opened.onversionchange = () => (gone(), opened.close());
    opened.onclose = gone;
    const { entries, opening } = await readAll(opened);
    self = opening;
    return entries;
  };
  const load = async (own: number, leads: boolean): Promise<readonly StoreEntry[]> => {
    if (loading) await loading;
    try {
      return own === use ? await open(own, leads) : [];
    } catch (error) {
      letGo();
      if (own !== use) return [];
      if (isOptional) return (instead = memory()).load();
      if (isMoorlineError(error)) throw error;
      throw new MoorlineError('storage.unavailable', `the database ${name} cannot be used (${messageOf(error)}): pass \`store: memory()\` to do without`, 'client', error);
    }
  };
  /** Clears the database that another client had, if it has gone. */
  const clear = async (): Promise<void> => {
    const other = indexedDb({ name });
    try {
      await other.load();
      await other.commit({ clear: true, deletes: [], puts: [] });
    } catch (error) {
      throw new MoorlineError('storage.unavailable', `another tab has the store ${name}, which is not cleared: close({ wipe: true }) there, or shareTabs()`, 'client', error);
    } finally {
      void other.close?.();
    }
  };
  return {
    shared: name,
    of: (group) => indexedDb({ ...options, name: `${name}-${group}` }),
    get isLasting() {
      return !instead;
    },
    load(leads = false): Promise<readonly StoreEntry[]> {
      close();
      const entries = load(use, leads);
      loading = entries.catch(() => undefined);
      return entries;
    },
    async commit(batch: StoreBatch): Promise<void> {
      if (instead) {
        if (batch.clear && isLocked) await clear();
        return instead.commit(batch);
      }
      if (!database) throw new MoorlineError('storage.unavailable', 'the store is closed');
      await write(database, batch, self);
    },
    close,
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
    transaction.onabort = () => reject(transaction.error ?? new Error('the database took nothing'));
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
