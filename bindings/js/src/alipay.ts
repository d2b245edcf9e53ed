import { type ClientOptions, Client } from './client.js';
import { once } from './core/wasm.js';
import { AlipayHost } from './host/alipay.js';
import { startAsm } from './mini.js';

export * from './exports.js';
export { AlipayHost };

const load = once(startAsm);

/**
 * Makes a client for an Alipay mini-program. Its core is plain JavaScript. Nothing is connected yet: the first use does, or `connect()`. Throws for
 * options that make no sense.
 */
export function createClient(options: ClientOptions): Client {
  return new Client(options, { load, host: () => new AlipayHost() });
}
