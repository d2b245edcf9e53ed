import type { Store, StoreBatch, StoreEntry } from '../host/host.js';

/** A store that ends with the page or process. One per client. */
export function memory(): Store {
  const entries = new Map<string, Uint8Array>();
  return {
    isLasting: false,
    load: (): readonly StoreEntry[] => [...entries],
    commit(batch: StoreBatch): void {
      if (batch.clear) entries.clear();
      for (const key of batch.deletes) entries.delete(key);
      for (const [key, value] of batch.puts) entries.set(key, value.slice());
    },
  };
}
