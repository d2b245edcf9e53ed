import { type ClientOptions, Client } from './client.js';
import { frequent, lengths, text } from './core/core.gen.js';
import { instantiateInline } from './core/inline.js';
import { once } from './core/wasm.js';
import { defaultHost } from '#host';

export * from './exports.js';

const load = once(() => instantiateInline({ frequent, lengths, text }));

/** Makes a client. Nothing is connected yet: the first use does, or `connect()`. Throws for options that make no sense. */
export function createClient(options: ClientOptions): Client {
  return new Client(options, { load, host: defaultHost });
}
