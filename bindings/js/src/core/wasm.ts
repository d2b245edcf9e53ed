import { MoorlineError } from '../errors.js';

/** What the module exports. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  input(length: number): number;
  output(): number;
  create(mono: number, unix: number): number;
  run(handle: number, mono: number, unix: number): number;
  remove(handle: number): void;
}

/** What a loader may return: some hosts wrap the instance, some do not. */
export type Instantiated = { readonly exports: unknown } | { readonly instance: { readonly exports: unknown } };

/** Bytes before the records of an output. */
const HEAD = 28;

/** What a run of the core left. */
export interface Run {
  /** The records, a copy. */
  readonly records: Uint8Array;
  /** When to run it again at the latest, by the clock it is given; −1 for never. */
  readonly deadline: number;
  /** When the next attempt to connect begins, likewise. */
  readonly nextAttempt: number;
  readonly outbox: { readonly messages: number; readonly bytes: number };
}

/** The core behind the seam; any number of clients. */
export class Core {
  private readonly exports: Exports;

  constructor(loaded: Instantiated) {
    this.exports = ('instance' in loaded ? loaded.instance : loaded).exports as Exports;
  }

  /** Makes a client of its settings; returns a handle. Throws what the core refuses, as its output's records. */
  create(settings: Uint8Array, mono: number, unix: number): { handle: number; refusal: Uint8Array } {
    this.write(settings);
    const handle = this.exports.create(mono, unix);
    return { handle, refusal: this.read(this.exports.output()).records };
  }

  run(handle: number, batch: Uint8Array, mono: number, unix: number): Run {
    this.write(batch);
    return this.read(this.exports.run(handle, mono, unix));
  }

  remove(handle: number): void {
    this.exports.remove(handle);
  }

  // The memory is looked up anew each time: it moves when it grows.
  private write(bytes: Uint8Array): void {
    const at = this.exports.input(bytes.length);
    new Uint8Array(this.exports.memory.buffer, at, bytes.length).set(bytes);
  }

  private read(at: number): Run {
    const head = new DataView(this.exports.memory.buffer, at, HEAD);
    const length = head.getUint32(0, true);
    return {
      records: new Uint8Array(this.exports.memory.buffer, at + HEAD, length).slice(),
      deadline: head.getFloat64(4, true),
      nextAttempt: head.getFloat64(12, true),
      outbox: { messages: head.getUint32(20, true), bytes: head.getUint32(24, true) },
    };
  }
}

/** Makes a loader that runs once; a failure is not kept. */
export function once(instantiate: () => Promise<Instantiated>): () => Promise<Core> {
  let loading: Promise<Core> | undefined;
  return () => {
    if (!loading) {
      loading = Promise.resolve()
        .then(instantiate)
        .then((loaded) => new Core(loaded));
      loading.catch(() => (loading = undefined));
    }
    return loading.catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      const advice = "where a page may not use it (a Content-Security-Policy without 'wasm-unsafe-eval'), or there is none, import moorline/asm";
      throw new MoorlineError('client.runtime', `WebAssembly could not be started: ${why}; ${advice}`, 'client', cause);
    });
  };
}
