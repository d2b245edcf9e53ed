import { MoorlineError } from '../errors.js';
import type { Store, StoreBatch, StoreEntry } from '../host/host.js';

/** The storage of a test's device. It outlives the clients that use it, and can be full or broken. */
export class TestStore implements Store {
  private readonly entries = new Map<string, Uint8Array>();
  private isFull = false;
  private failure: Error | undefined;

  /** @internal */
  constructor(private readonly loaded: () => void) {}

  /** How many entries there are. */
  get size(): number {
    return this.entries.size;
  }

  /** From now on there is no room for anything new, until `repair`. */
  fill(): void {
    this.isFull = true;
  }

  /** From now on every write fails, until `repair`. */
  fail(error: Error = new Error('the storage of this device is broken')): void {
    this.failure = error;
  }

  /** Takes writes again. */
  repair(): void {
    this.isFull = false;
    this.failure = undefined;
  }

  /** Forgets everything, as a browser that is told to forget a site. */
  wipe(): void {
    this.entries.clear();
  }

  load(): readonly StoreEntry[] {
    this.loaded();
    return [...this.entries].map(([key, value]) => [key, value.slice()] as const);
  }

  commit(batch: StoreBatch): void {
    if (this.failure) throw this.failure;
    if (this.isFull && batch.puts.length > 0) {
      throw new MoorlineError('storage.full', 'the storage of this device is full');
    }
    if (batch.clear) this.entries.clear();
    for (const key of batch.deletes) this.entries.delete(key);
    for (const [key, value] of batch.puts) this.entries.set(key, value.slice());
  }
}
