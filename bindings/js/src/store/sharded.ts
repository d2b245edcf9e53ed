import { decodeBase64, encodeBase64 } from '../core/base64.js';
import { MoorlineError, messageOf, wrap } from '../errors.js';
import type { Store, StoreBatch, StoreEntry } from '../host/host.js';
import { type BatchOf, type Part, textOf, partsOf, partsIn } from './parts.js';

/** A storage of keys and texts. `set` takes effect whole or not at all; what it rejects with says why it did not. */
export interface KeyValue {
  keys(): Promise<readonly string[]>;
  /** Undefined for a key that is not there; what is there and cannot be read is rejected. */
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
  remove(key: string): Promise<void>;
}

/** How a storage is used. */
export interface ShardedOptions {
  /** Keys begin with this. Clients that run at once need one each. */
  readonly name: string;
  /** The most that the platform keeps under one key, in bytes. */
  readonly keyBytes: number;
  /** The most that this store keeps, in bytes; what would be more is refused with `storage.full`. */
  readonly bytes: number;
  /** Is told of what was kept and cannot be made out any more. */
  readonly report: (error: unknown) => void;
}

/** A shard that is larger is not written any more. */
const fullShard = 16_000;
/** What has been superseded may take as much room as what has not, and this. */
const slack = 64_000;

interface Work {
  readonly batch: StoreBatch;
  resolve(): void;
  reject(error: unknown): void;
}

/** A store in a storage of keys and texts: a log in shards, of which a commit writes the last, and the first is cleaned. */
export function sharded(storage: KeyValue, options: ShardedOptions): Store {
  return new Sharded(storage, options);
}

class Sharded implements Store {
  private readonly prefix: string;
  /** Shards, oldest first, and their lengths. */
  private readonly shards = new Map<number, number>();
  /** What is kept, each with the shard where it is. */
  private readonly index = new Map<string, { readonly shard: number; readonly value: string }>();
  private tail = { number: 0, text: '' };
  private self = '';
  private readonly queue: Work[] = [];
  private working: Promise<void> | undefined;
  private isOpen = false;

  constructor(
    private readonly storage: KeyValue,
    private readonly options: ShardedOptions,
  ) {
    this.prefix = `${options.name}:`;
  }

  async load(): Promise<readonly StoreEntry[]> {
    try {
      const names = (await this.storage.keys()).filter((key) => key.startsWith(this.prefix)).map((key) => key.slice(this.prefix.length));
      // Not less than the time of day: who counts anew after a wipe of the whole storage is somebody else.
      this.self = String(Math.max(Number((await this.storage.get(this.key('owner'))) ?? 0) + 1, Date.now()));
      await this.storage.set(this.key('owner'), this.self);
      await this.read(names.filter((name) => /^\d+$/.test(name)).map(Number).sort((a, b) => a - b));
      this.isOpen = true;
      return [...this.index].map(([key, { value }]) => [key, decodeBase64(value)] as const);
    } catch (error) {
      throw wrap('storage.unavailable', error);
    }
  }

  private async read(numbers: readonly number[]): Promise<void> {
    this.shards.clear();
    this.index.clear();
    let open: { part: Part; shard: number }[] = [];
    let before = false;
    for (const number of numbers) {
      const shard = await this.storage.get(this.key(number));
      if (shard === undefined) throw new Error(`no ${this.key(number)}`);
      const { parts, text, isCut } = partsIn(shard, before);
      this.shards.set(number, text.length);
      this.tail = { number, text };
      for (const part of parts) {
        // A batch whose last part is missing was not committed; its parts go with their shards.
        if (part.isFirst) open = [];
        open.push({ part, shard: number });
        if (part.isLast) for (const { part: whole, shard: at } of open.splice(0)) this.apply(whole, at);
      }
      if (isCut) open = [];
      before = isCut;
      if (text !== '' && text.length >= shard.length) continue;
      if (text === '') await this.drop(number);
      else await this.storage.set(this.key(number), text);
      this.options.report(new MoorlineError('storage.unavailable', `${this.key(number)} was damaged, and its end is lost`));
    }
  }

  commit(batch: StoreBatch): Promise<void> {
    // What is handed over may be changed as soon as this returns.
    const kept = { ...batch, puts: batch.puts.map(([key, value]) => [key, value.slice()] as const) };
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(new MoorlineError('storage.unavailable', 'the store is closed'));
      this.queue.push({ batch: kept, resolve, reject });
      this.working ??= this.work();
    });
  }

  async close(): Promise<void> {
    await this.working;
    this.isOpen = false;
  }

  private key(name: string | number): string {
    return `${this.prefix}${name}`;
  }

  /** Writes what waits, together if it fits, else one by one: what was handed over last is what has no room. */
  private async work(): Promise<void> {
    while (this.queue.length > 0) {
      const group = this.queue.splice(0);
      const isDone = await this.write(group.map(({ batch }) => batch)).then(() => true, (error: unknown) => (group.length === 1 ? group[0]!.reject(error) : undefined, false));
      if (isDone) for (const { resolve } of group) resolve();
      else if (group.length > 1) for (const { batch, resolve, reject } of group) await this.write([batch]).then(resolve, reject);
    }
    this.working = undefined;
  }

  private async write(batches: readonly StoreBatch[]): Promise<void> {
    const owner = await this.storage.get(this.key('owner'));
    if (owner === undefined) await this.beginAnew();
    else if (owner !== this.self) {
      throw new MoorlineError('client.store_locked', `another client uses the store ${this.options.name}: give each a name`);
    }
    const parts: Part[] = [];
    for (const batch of batches) parts.push(...this.split(batch, encodeBase64));
    const added = parts.reduce((sum, part) => sum + textOf(part).length, 0);
    const isClear = batches.some(({ clear }) => clear);
    if (batches.some(({ puts }) => puts.length > 0) && !isClear) await this.makeRoom(added);
    await this.append(parts);
    if (isClear) await this.forget();
    // What is to be kept is kept: that this fails is no reason to say it is not.
    await this.cleanWhile(() => this.total() > 2 * this.live() + slack).catch(() => undefined);
  }

  /** Somebody cleared the whole storage, as apps do on a logout: what was kept in it is written once more. */
  private async beginAnew(): Promise<void> {
    this.shards.clear();
    this.tail = { number: this.tail.number + 1, text: '' };
    const puts = [...this.index].map(([key, { value }]) => [key, value] as const);
    await this.append(this.split({ clear: true, deletes: [], puts }, (value) => value));
    await this.storage.set(this.key('owner'), this.self);
  }

  private split<T>(batch: BatchOf<T>, encode: (value: T) => string): Part[] {
    return partsOf(batch, encode, this.options.keyBytes - fullShard);
  }

  private async makeRoom(added: number): Promise<void> {
    await this.cleanWhile(() => this.total() + added > this.options.bytes);
    if (this.total() + added > this.options.bytes) {
      throw new MoorlineError('storage.full', `the storage of this app has no room for more: ${this.options.bytes} bytes are this client's`);
    }
  }

  /** Adds parts to the log: all of them, or none if the platform refuses one. */
  private async append(parts: readonly Part[]): Promise<void> {
    const before = this.tail;
    const writes: { number: number; text: string; parts: Part[] }[] = [{ ...before, parts: [] }];
    for (const part of parts) {
      const last = writes[writes.length - 1]!;
      const text = textOf(part);
      // Before a clear there is an end: all before it goes.
      if (last.text !== '' && (last.text.length + text.length > fullShard || part.isClear)) writes.push({ number: last.number + 1, text, parts: [part] });
      else (last.text += text), last.parts.push(part);
    }
    const changed = writes.filter((write) => write.parts.length > 0);
    const done: number[] = [];
    try {
      for (const { number, text } of changed) {
        done.push(number);
        await this.storage.set(this.key(number), text);
      }
    } catch (error) {
      await this.undo(before, done);
      throw fullness(error);
    }
    for (const write of changed) {
      this.shards.set(write.number, write.text.length);
      for (const part of write.parts) this.apply(part, write.number);
    }
    const { number, text } = writes[writes.length - 1]!;
    this.tail = { number, text };
  }

  private async undo(before: { readonly number: number; readonly text: string }, done: readonly number[]): Promise<void> {
    for (const number of done) {
      if (number === before.number && before.text !== '') await this.storage.set(this.key(number), before.text);
      else await this.storage.remove(this.key(number));
    }
  }

  /** Cleans from the oldest on, each shard once at most. */
  private async cleanWhile(isNeeded: () => boolean): Promise<void> {
    for (const number of [...this.shards.keys()]) {
      if (number === this.tail.number || !isNeeded()) return;
      await this.clean(number);
    }
  }

  /** Moves what is still needed of the oldest shard to the end, and removes it. */
  private async clean(oldest: number): Promise<void> {
    const needed = [...this.index].filter(([, { shard }]) => shard === oldest).map(([key, { value }]) => [key, value] as const);
    if (needed.length > 0) await this.append([{ isFirst: true, isLast: true, isClear: false, deletes: [], puts: needed }]);
    await this.drop(oldest);
  }

  /** Removes all shards but those that a clear began. */
  private async forget(): Promise<void> {
    const needed = Math.min(this.tail.number, ...[...this.index.values()].map(({ shard }) => shard));
    for (const number of [...this.shards.keys()]) if (number < needed) await this.drop(number);
  }

  private async drop(number: number): Promise<void> {
    await this.storage.remove(this.key(number));
    this.shards.delete(number);
  }

  private apply(part: Part, shard: number): void {
    if (part.isClear) this.index.clear();
    for (const key of part.deletes) this.index.delete(key);
    for (const [key, value] of part.puts) this.index.set(key, { shard, value });
  }

  private total(): number {
    let sum = 0;
    for (const length of this.shards.values()) sum += length;
    return sum;
  }

  private live(): number {
    let sum = 0;
    for (const [key, { value }] of this.index) sum += key.length + value.length + 8;
    return sum;
  }
}

/** The platforms say in words that there is no room; Douyin has numbers, too. */
function fullness(error: unknown): unknown {
  const message = messageOf(error);
  return /exceed|limit|quota|full|space|too (big|large)|空间|超|上限|2110[12]/i.test(message) ? new MoorlineError('storage.full', message, 'client', error) : error;
}
