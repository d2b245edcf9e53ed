import type { Question } from './calls.js';

/** What the module exports. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  input(length: number): number;
  output(): number;
  output_length(): number;
  output_conn(): number;
  output_code(): number;
  create(now: number): number;
  open(conn: number, text: number, now: number): number;
  message(conn: number, text: number, now: number): void;
  closed(conn: number, now: number): void;
  queued(conn: number, bytes: number, now: number): void;
  timeout(now: number): void;
  deadline(now: number): number;
  poll(): number;
  ask(now: number): void;
}

/** What the server wants done. */
export type Output =
  | { readonly kind: 'send'; readonly conn: number; readonly frame: Uint8Array | string }
  | { readonly kind: 'close'; readonly conn: number; readonly code: number }
  | { readonly kind: 'call'; readonly question: Question }
  | { readonly kind: 'uncall'; readonly call: number }
  | { readonly kind: 'drained' };

/** The server itself, compiled to WebAssembly. Times are ms since 1970. */
export class Machine {
  private readonly exports: Exports;

  constructor(instance: { readonly exports: unknown }, settings: unknown, now: number) {
    this.exports = instance.exports as Exports;
    this.put(encode(settings));
    if (this.exports.create(now) !== 0) throw new TypeError(`createTestServer: ${text(this.taken())}`);
  }

  open(conn: number, app: string, now: number): boolean {
    this.put(new TextEncoder().encode(app));
    return this.exports.open(conn, 0, now) === 0;
  }

  message(conn: number, frame: Uint8Array | string, now: number): void {
    const isText = typeof frame === 'string';
    this.put(isText ? new TextEncoder().encode(frame) : frame);
    this.exports.message(conn, isText ? 1 : 0, now);
  }

  closed(conn: number, now: number): void {
    this.exports.closed(conn, now);
  }

  /** So many bytes wait for a connection. */
  queued(conn: number, bytes: number, now: number): void {
    this.exports.queued(conn, bytes, now);
  }

  timeout(now: number): void {
    this.exports.timeout(now);
  }

  /** When `timeout` is due; infinity for never. */
  deadline(now: number): number {
    return this.exports.deadline(now);
  }

  poll(): Output | undefined {
    const kind = this.exports.poll();
    const [conn, code] = [this.exports.output_conn(), this.exports.output_code()];
    if (kind === 1) return { kind: 'send', conn, frame: code === 1 ? text(this.taken()) : this.taken() };
    if (kind === 2) return { kind: 'close', conn, code };
    if (kind === 4) return { kind: 'call', question: JSON.parse(text(this.taken())) as Question };
    if (kind === 5) return { kind: 'uncall', call: code };
    return kind === 3 ? { kind: 'drained' } : undefined;
  }

  /** Throws what the server refuses. */
  ask(question: unknown, now: number): unknown {
    this.put(encode(question));
    this.exports.ask(now);
    const answer: unknown = JSON.parse(text(this.taken()));
    if (typeof answer !== 'object' || answer === null) return undefined;
    const [kind, value] = Object.entries(answer)[0] ?? [];
    if (kind === 'refused') throw new Error(String(value));
    return value;
  }

  // The memory is looked up anew each time: it moves when it grows.
  private put(bytes: Uint8Array): void {
    const at = this.exports.input(bytes.length);
    new Uint8Array(this.exports.memory.buffer, at, bytes.length).set(bytes);
  }

  private taken(): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer, this.exports.output(), this.exports.output_length()).slice();
  }
}

let compiled: Promise<WebAssembly.Module> | undefined;

/** Compiles the server, once; a failure is not kept. */
export function compile(): Promise<WebAssembly.Module> {
  if (!compiled) {
    compiled = load(new URL('./server.wasm', import.meta.url)).then((bytes) => WebAssembly.compile(bytes));
    compiled.catch(() => (compiled = undefined));
  }
  return compiled;
}

async function load(url: URL): Promise<BufferSource> {
  if (url.protocol !== 'file:') {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url.href} cannot be fetched: ${response.status}`);
    return response.arrayBuffer();
  }
  const { readFile } = await import('node:fs/promises');
  return new Uint8Array(await readFile(url));
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
