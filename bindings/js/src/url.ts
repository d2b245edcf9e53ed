import { type ClientOptions, Client } from './client.js';
import { checked } from './core/checked.js';
import { once } from './core/wasm.js';
import { fetchModule } from './host/fetch.js';
import { defaultHost } from '#host';

export * from './exports.js';

const load = once(() => fetchModule(new URL('./core.wasm', import.meta.url)).then(checked));

/** Makes a client. Nothing is connected yet: the first use does, or `connect()`. Throws for options that make no sense. */
export function createClient(options: ClientOptions): Client {
  return new Client(options, { load, host: defaultHost });
}
