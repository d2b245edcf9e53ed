import { MoorlineError, isMoorlineError, messageOf } from '../errors.js';
import { version } from '../version.js';
import { Reader } from './reader.js';

/** What the module exports. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  input(length: number): number;
  output(): number;
  /** Makes a client. Its name has the version of the package. */
  readonly [create: `create-${string}`]: (mono: number, unix: number) => number;
  run(handle: number, mono: number, unix: number): number;
  remove(handle: number): void;
}

/** What a loader may return: some hosts wrap the instance, some do not. */
export type Instantiated = { readonly exports: unknown } | { readonly instance: { readonly exports: unknown } };

/** Bytes before the records of an output. */
const HEAD = 28;

/** What a run of the core left. */
export interface Run {
  /** The records. */
  readonly records: Reader;
  /** When to run it again at the latest, by the clock it is given; −1 for never. */
  readonly deadline: number;
  /** When the next attempt to connect begins, likewise. */
  readonly nextAttempt: number;
  readonly outbox: { readonly messages: number; readonly bytes: number };
}

/**
 * The core behind the seam; any number of clients. A trap leaves its memory in a state that nobody knows: then it has failed,
 * for all of them.
 */
export class Core {
  /** Why it can be used no more. */
  failure: MoorlineError | undefined;
  private readonly exports: Exports;
  private memory = new Uint8Array(0);
  private head = new DataView(this.memory.buffer);
  /** What it said last, which is where it says the next. */
  private said = new Reader(this.memory);
  private readonly users = new Map<number, (failure: MoorlineError) => void>();

  constructor(loaded: Instantiated) {
    this.exports = ('instance' in loaded ? loaded.instance : loaded).exports as Exports;
  }

  /**
   * Makes a client of its settings; returns a handle. Throws what the core refuses, as its output's records. `onFailure`: it has
   * failed, here or in the hands of another client.
   */
  create(settings: Uint8Array, mono: number, unix: number, onFailure: (failure: MoorlineError) => void): { handle: number; refusal: Reader } {
    return this.guard(() => {
      this.write(settings);
      const handle = this.exports[`create-${version}`]!(mono, unix);
      if (handle !== 0) this.users.set(handle, onFailure);
      return { handle, refusal: this.read(this.exports.output()).records };
    });
  }

  run(handle: number, batch: Uint8Array, mono: number, unix: number): Run {
    return this.guard(() => {
      this.write(batch);
      return this.read(this.exports.run(handle, mono, unix));
    });
  }

  remove(handle: number): void {
    this.users.delete(handle);
    if (!this.failure) this.guard(() => this.exports.remove(handle));
  }

  private guard<T>(act: () => T): T {
    if (this.failure) throw this.failure;
    try {
      return act();
    } catch (cause) {
      const failure = new MoorlineError('client.runtime', `the core has failed (${messageOf(cause)}), and with it all clients of this page: make new ones`, 'client', cause);
      this.failure = failure;
      const users = [...this.users.values()];
      void Promise.resolve().then(() => users.forEach((onFailure) => onFailure(failure)));
      throw failure;
    }
  }

  private write(bytes: Uint8Array): void {
    if (this.said.hasMore) this.said.keep();
    const at = this.exports.input(bytes.length);
    this.look();
    this.memory.set(bytes, at);
  }

  private read(at: number): Run {
    this.look();
    const { head } = this;
    const from = at + HEAD;
    this.said = new Reader(this.memory, from, from + head.getUint32(at, true), this.said.known);
    return {
      records: this.said,
      deadline: head.getFloat64(at + 4, true),
      nextAttempt: head.getFloat64(at + 12, true),
      outbox: { messages: head.getUint32(at + 20, true), bytes: head.getUint32(at + 24, true) },
    };
  }

  /** Looks the memory up after each call: it moves when it grows. */
  private look(): void {
    const { buffer } = this.exports.memory;
    if (this.memory.buffer === buffer) return;
    this.memory = new Uint8Array(buffer);
    this.head = new DataView(buffer);
  }
}

/** Makes a loader that runs once; a failure is not kept, nor is a core that has failed. */
export function once(instantiate: () => Promise<Instantiated>): () => Promise<Core> {
  let loading: Promise<Core> | undefined;
  let core: Core | undefined;
  return () => {
    if (!loading || core?.failure) {
      core = undefined;
      loading = Promise.resolve()
        .then(instantiate)
        .then((loaded) => (core = new Core(loaded)));
      loading.catch(() => (loading = undefined));
    }
    return loading.catch((cause: unknown) => {
      if (isMoorlineError(cause)) throw cause;
      const advice = "allow 'wasm-unsafe-eval' in the Content-Security-Policy, or import moorline/asm";
      throw new MoorlineError('client.runtime', `WebAssembly could not be started: ${messageOf(cause)}; ${advice}`, 'client', cause);
    });
  };
}
