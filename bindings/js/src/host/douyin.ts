import { MoorlineError } from '../errors.js';
import type { Instantiated } from '../core/wasm.js';
import { MiniHost, type MiniApi, protocols } from './mini/host.js';
import type { Failure, SocketTask, TaskOptions } from './mini/task.js';

/** What is used of `tt`. */
export interface Tt extends MiniApi {
  connectSocket(options: { readonly url: string; readonly protocols: readonly string[]; readonly fail: (why?: Failure) => void }): SocketTask;
}

declare const tt: Tt;
declare const TTWebAssembly: { instantiate(path: string, imports: object): Promise<Instantiated> };

/** Douyin mini-programs. */
export class DouyinHost extends MiniHost {
  readonly name = 'douyin';

  constructor(protected override readonly api: Tt = douyin()) {
    super(api);
  }

  protected task(url: string): TaskOptions['open'] {
    return (fail) => this.api.connectSocket({ url, protocols, fail });
  }
}

/** Starts the core from a file of the mini-program's package, by its absolute path. */
export function douyinModule(path: string): Promise<Instantiated> {
  if (typeof TTWebAssembly === 'undefined') return Promise.reject(new Error('there is no TTWebAssembly'));
  return TTWebAssembly.instantiate(path, {});
}

function douyin(): Tt {
  if (typeof tt === 'undefined') throw new MoorlineError('client.runtime', 'there is no `tt`: moorline/douyin is for Douyin mini-programs');
  return tt;
}
