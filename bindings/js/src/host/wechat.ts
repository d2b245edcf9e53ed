import { MoorlineError } from '../errors.js';
import type { Instantiated } from '../core/wasm.js';
import { MiniHost, type MiniApi, protocols } from './mini/host.js';
import type { Failure, SocketTask, TaskOptions } from './mini/task.js';

/** What is used of `wx`. */
export interface Wx extends MiniApi {
  connectSocket(options: {
    readonly url: string; readonly protocols: readonly string[]; readonly tcpNoDelay: boolean; readonly perMessageDeflate: boolean; readonly fail: (why?: Failure) => void;
  }): SocketTask;
}

declare const wx: Wx;
declare const WXWebAssembly: { instantiate(path: string, imports: object): Promise<Instantiated> };

/** WeChat mini-programs; QQ's have the same interface: `new WechatHost(qq)`. */
export class WechatHost extends MiniHost {
  readonly name = 'wechat';

  constructor(protected override readonly api: Wx = wechat()) {
    super(api);
  }

  protected task(url: string): TaskOptions['open'] {
    return (fail) => this.api.connectSocket({ url, protocols, tcpNoDelay: true, perMessageDeflate: false, fail });
  }
}

/** Starts the core from a file of the mini-program's package, which is the only place WeChat takes one from. */
export function wechatModule(path: string): Promise<Instantiated> {
  if (typeof WXWebAssembly === 'undefined') return Promise.reject(new Error('there is no WXWebAssembly'));
  return WXWebAssembly.instantiate(path, {});
}

function wechat(): Wx {
  if (typeof wx === 'undefined') throw new MoorlineError('client.runtime', "there is no `wx`: moorline/wechat is for WeChat mini-programs");
  return wx;
}
