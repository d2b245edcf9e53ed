import { nestedFrame } from './alipay.js';
import { MiniHost, type MiniApi, protocols } from './mini/host.js';
import type { Failure, SocketTask, TaskOptions } from './mini/task.js';

/** What is used of Taro: pass what `import Taro from '@tarojs/taro'` gives. */
export interface TaroApi extends MiniApi {
  connectSocket(options: { readonly url: string; readonly protocols: string[]; readonly multiple: true; readonly fail: (why?: Failure) => void }): SocketTask | Promise<SocketTask>;
  /** `'WEAPP'`, `'ALIPAY'`, `'WEB'`, … */
  getEnv?(): string;
  /** What Taro stands on: `wx`, `tt`, … */
  readonly miniGlobal?: Pick<TaroApi, 'connectSocket'>;
}

/** Taro: mini-programs of all kinds but Alipay's. */
export class TaroHost extends MiniHost {
  readonly name = 'taro';

  constructor(protected override readonly api: TaroApi) {
    super(api);
  }

  protected task(url: string): TaskOptions['open'] {
    // Taro's own gives a promise of a task, which comes when it may be open already; what it stands on gives the task at once.
    return (fail) => (this.api.miniGlobal ?? this.api).connectSocket({ url, protocols: [...protocols], multiple: true, fail });
  }

  protected override decode(data: unknown): Uint8Array | string {
    return nestedFrame(data);
  }
}
