import { type ClientOptions, Client } from './client.js';
import { once } from './core/wasm.js';
import { browserHost } from './host/browser.js';
import { UniHost, isH5 } from './host/uni.js';
import { startAsm } from './mini.js';

export * from './exports.js';
export { UniHost };

const load = once(startAsm);

/**
 * Makes a client for uni-app. Its core is plain JavaScript. Nothing is connected yet: the first use does, or `connect()`. Throws for
 * options that make no sense.
 */
export function createClient(options: ClientOptions): Client {
  return new Client(options, { load, host: () => (isH5() ? browserHost() : new UniHost()) });
}
