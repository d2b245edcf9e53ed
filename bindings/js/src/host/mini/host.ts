import { type ShardedOptions, sharded } from '../../store/sharded.js';
import type { Host, HostName, HostSignal, Socket, SocketEvents, Store } from '../host.js';
import { steadyClock } from './clock.js';
import { Random } from './random.js';
import { report } from './report.js';
import { type AppEvents, appSignals } from './signals.js';
import { type Storage, keyValueOf } from './storage.js';
import { type TaskOptions, frameOf, isThenable, openTask } from './task.js';
import { within } from './within.js';

/** What all mini-programs have. */
export interface MiniApi extends AppEvents, Storage {
  getRandomValues?(options: { readonly length: number; readonly success: (made: { readonly randomValues: ArrayBuffer }) => void; readonly fail: (why?: unknown) => void }): unknown;
}

/** The subprotocol that the server is asked for. */
export const protocols = ['moorline.v1.bin'];

/** What the hosts of mini-programs have in common. */
export abstract class MiniHost implements Host {
  abstract readonly name: HostName;
  readonly now = steadyClock();
  protected readonly chance = new Random();
  /** The most that this platform keeps under one key, and what of its room is this client's, in bytes. */
  protected readonly room: Pick<ShardedOptions, 'keyBytes' | 'bytes'> = { keyBytes: 1_000_000, bytes: 5_000_000 };

  protected constructor(protected readonly api: MiniApi) {}

  protected abstract task(url: string): TaskOptions['open'];
  protected decode(data: unknown): Uint8Array | string {
    return frameOf(data);
  }
  protected readonly encode: ((bytes: Uint8Array) => string) | undefined = undefined;

  /** Waits for random bytes of the platform, where it has some: not for long, and not for those that it refuses. */
  prepare(): Promise<void> {
    const asked = new Promise<void>((resolve, reject) => {
      const { api } = this;
      if (!api.getRandomValues) return resolve();
      const success = ({ randomValues }: { readonly randomValues: ArrayBuffer }): void => {
        this.chance.stir(new Uint8Array(randomValues));
        resolve();
      };
      const made = api.getRandomValues({ length: 32, success, fail: reject });
      if (isThenable(made)) made.then(undefined, reject);
    });
    // Without them ids are unique, not secret.
    return within(1_000, asked).catch(() => undefined);
  }

  open(url: string, events: SocketEvents): Socket {
    const { encode } = this;
    return openTask({ open: this.task(url), decode: (data) => this.decode(data), ...(encode ? { encode } : {}) }, events);
  }

  random(into: Uint8Array): void {
    this.chance.fill(into);
  }

  timer(ms: number, fire: () => void): () => void {
    const timer = setTimeout(fire, ms);
    return () => clearTimeout(timer);
  }

  signals(emit: (signal: HostSignal) => void): () => void {
    return appSignals(this.api, emit);
  }

  store(name = 'moorline'): Store {
    return sharded(keyValueOf(this.api), { name, ...this.room, report: (error) => this.report(error) });
  }

  report(error: unknown): void {
    report(error);
  }
}
