import { type ClientOptions, Client } from './client.js';
import { start } from './core/asm.gen.js';
import { once } from './core/wasm.js';
import { defaultHost } from '#host';

export * from './exports.js';

const load = once(() => Promise.resolve({ exports: start() }));

/**
 * Makes a client whose core is plain JavaScript, for where there is no WebAssembly or a page may not use it. Nothing is connected
 * yet: the first use does, or `connect()`. Throws for options that make no sense.
 */
export function createClient(options: ClientOptions): Client {
  return new Client(options, { load, host: defaultHost });
}
