import { Reader } from '../core/reader.js';
import { Driver } from '../driver.js';
import type { Owner, Parts } from '../engine.js';
import { type MoorlineError, isMoorlineError } from '../errors.js';
import type { Store, StoreBatch } from '../host/host.js';
import type { Standing } from './wire.js';

/** What a relay tells. */
export interface RelayOwner {
  ready(): void;
  /** A record, as the core wrote it. */
  record(bytes: Uint8Array): void;
  standing(standing: Standing): void;
  fatal(error: MoorlineError): void;
  /** The store is another's now, or is gone. */
  lost(): void;
}

/** A driver that hands on what the core says as it is. */
export class Relay extends Driver {
  constructor(
    parts: Parts,
    private readonly to: RelayOwner,
  ) {
    const store = new GuardedStore(parts.store, () => to.lost());
    const deaf = new Proxy({}, { get: () => () => undefined }) as Owner;
    const owner: Pick<Owner, 'onReady' | 'onStanding' | 'onFatal'> = {
      onReady: () => to.ready(),
      onStanding: (outbox, nextAttempt) => to.standing({ ...outbox, nextAttempt, isLasting: parts.store.isLasting !== false }),
      onFatal: (error) => {
        store.close();
        to.fatal(error);
      },
    };
    super({ ...parts, store }, Object.setPrototypeOf(owner, deaf) as Owner);
    this.store = store;
  }

  private readonly store: GuardedStore;

  /** Does what was said, at once. */
  settle(): void {
    this.drain();
  }

  stop(): void {
    this.store.isOver = true;
    this.end();
    this.store.close();
  }

  protected override take(from: Reader): void {
    const bytes = from.rest();
    const isTold = bytes[0]! >= 32;
    super.take(from);
    // What is done runs the core, which overwrites these bytes; what is told is told to nobody.
    if (isTold) this.to.record(bytes.slice(0, bytes.length - from.rest().length));
  }
}

/** A store that may be lost to another leader, or cleared under it: that is no failure of what was to be kept. */
class GuardedStore implements Store {
  isOver = false;
  /** Whether it has kept anything: a store that never has is broken, not lost. */
  private hasKept = false;

  constructor(
    private readonly inner: Store,
    private readonly lost: () => void,
  ) {}

  load(): ReturnType<Store['load']> {
    return this.inner.load(true);
  }

  async commit(batch: StoreBatch): Promise<void> {
    try {
      await this.inner.commit(batch);
      this.hasKept = true;
    } catch (error) {
      const code = isMoorlineError(error) ? error.code : '';
      if (code !== 'client.store_locked' && !(code === 'storage.unavailable' && this.hasKept)) throw error;
      if (!this.isOver) this.lost();
      await new Promise(() => undefined);
    }
  }

  close(): void {
    void Promise.resolve(this.inner.close?.()).catch(() => undefined);
  }
}
