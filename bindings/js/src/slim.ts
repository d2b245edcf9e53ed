import { type ClientOptions, Client } from './client.js';
import { checked } from './core/checked.js';
import { type Core, type Instantiated, once } from './core/wasm.js';
import { MoorlineError } from './errors.js';
import { instantiate } from './host/instantiate.js';
import { defaultHost } from '#host';

export * from './exports.js';

/** The core (`moorline/core.wasm`): its bytes, a compiled module, a response with it, or who instantiates it. */
export type CoreSource = Uint8Array | ArrayBuffer | WebAssembly.Module | Response | (() => Promise<Instantiated>);

let load: (() => Promise<Core>) | undefined;

/** Says where the core comes from; before the first use of a client. It is started with that use, once. */
export function init(source: CoreSource | Promise<CoreSource>): void {
  // A response is read once; a core that has failed is started anew from what was read.
  let read: Promise<Source> | undefined;
  // It is told when a client is used.
  Promise.resolve(source).catch(() => undefined);
  load = once(async () => {
    const from = await (read ??= readOf(source));
    return checked(await (typeof from === 'function' ? from() : instantiate(from)));
  });
}

/** Makes a client. Nothing is connected yet: the first use does, or `connect()`. Throws for options that make no sense. */
export function createClient(options: ClientOptions): Client {
  return new Client(options, { load: () => (load ? load() : Promise.reject(missing())), host: defaultHost });
}

function missing(): MoorlineError {
  return new MoorlineError('client.runtime', "moorline/slim has no core yet: call init() with 'moorline/core.wasm' first");
}

type Source = Uint8Array | WebAssembly.Module | (() => Promise<Instantiated>);

async function readOf(given: CoreSource | Promise<CoreSource>): Promise<Source> {
  const source = await given;
  if (typeof Response === 'function' && source instanceof Response && !source.ok) {
    throw new MoorlineError('client.runtime', `${source.url} answered ${source.status}: is core.wasm there?`);
  }
  if (typeof source === 'function' || source instanceof Uint8Array || source instanceof WebAssembly.Module) return source;
  return new Uint8Array(source instanceof ArrayBuffer ? source : await source.arrayBuffer());
}
