import { type ClientOptions, Client } from './client.js';
import { DouyinHost, douyinModule } from './host/douyin.js';
import { type MiniOptions, loader } from './mini.js';

export * from './exports.js';
export { DouyinHost };
export type { MiniOptions };

const load = loader(douyinModule);

/**
 * Makes a client for a Douyin mini-program. Nothing is connected yet: the first use does, or `connect()`. Throws for options that make
 * no sense.
 */
export function createClient(options: ClientOptions & MiniOptions): Client {
  return new Client(options, { load: load(options), host: () => new DouyinHost() });
}
