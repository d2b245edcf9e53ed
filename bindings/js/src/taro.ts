import { type ClientOptions, Client } from './client.js';
import { once } from './core/wasm.js';
import { AlipayHost } from './host/alipay.js';
import { browserHost } from './host/browser.js';
import type { Host } from './host/host.js';
import { type TaroApi, TaroHost } from './host/taro.js';
import { startAsm } from './mini.js';

export * from './exports.js';
export { TaroHost };
export type { TaroApi };

/** What Taro lends. */
export interface TaroOptions {
  /** What `import Taro from '@tarojs/taro'` gives. */
  readonly taro: TaroApi;
}

const load = once(startAsm);

/**
 * Makes a client for Taro. Its core is plain JavaScript. Nothing is connected yet: the first use does, or `connect()`. Throws for
 * options that make no sense.
 */
export function createClient(options: ClientOptions & TaroOptions): Client {
  return new Client(options, { load, host: () => hostOf(options.taro) });
}

/**
 * On Alipay a task of Taro's hears the events of all sockets of the app at once, and none of a socket of its own: `my` is asked itself. An H5
 * page has all that a page has.
 */
function hostOf(taro: TaroApi): Host {
  const platform = taro.getEnv?.();
  return platform === 'ALIPAY' ? new AlipayHost() : platform === 'WEB' ? browserHost() : new TaroHost(taro);
}
