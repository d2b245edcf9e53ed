import { type ClientOptions, Client } from './client.js';
import { WechatHost, wechatModule } from './host/wechat.js';
import { type MiniOptions, loader } from './mini.js';

export * from './exports.js';
export { WechatHost };
export type { MiniOptions };

const load = loader(wechatModule);

/**
 * Makes a client for a WeChat mini-program. Nothing is connected yet: the first use does, or `connect()`. Throws for options that make
 * no sense.
 */
export function createClient(options: ClientOptions & MiniOptions): Client {
  return new Client(options, { load: load(options), host: () => new WechatHost() });
}
