import { encodeBase64 } from '../core/base64.js';
import { MoorlineError } from '../errors.js';
import { nestedFrame } from './alipay.js';
import type { HostSignal } from './host.js';
import { MiniHost, type MiniApi, protocols } from './mini/host.js';
import type { Failure, SocketTask, TaskOptions } from './mini/task.js';

/** What is used of `uni`. */
export interface Uni extends MiniApi {
  connectSocket(options: {
    readonly url: string; readonly protocols: readonly string[]; readonly multiple: true;
    readonly success: () => void; readonly fail: (why?: Failure) => void; readonly complete: () => void;
  }): SocketTask | Promise<SocketTask>;
  getAppBaseInfo?(): { readonly uniPlatform?: string };
  getSystemInfoSync?(): { readonly uniPlatform?: string };
}

/** What is used of HTML5+, which apps have beside `uni`. */
interface Plus {
  readonly globalEvent?: {
    addEventListener(name: 'pause' | 'resume', handler: () => void): void;
    removeEventListener(name: 'pause' | 'resume', handler: () => void): void;
  };
}

declare const uni: Uni;
declare const plus: Plus;

/** uni-app: apps, and mini-programs of all kinds. */
export class UniHost extends MiniHost {
  readonly name = 'uni';
  private readonly isAlipay: boolean;
  protected override readonly room: { readonly keyBytes: number; readonly bytes: number };
  protected override readonly encode: ((bytes: Uint8Array) => string) | undefined;

  constructor(protected override readonly api: Uni = uniApp()) {
    super(api);
    // The other one reads what the device is, too: before its owner has agreed, and with a warning on WeChat.
    const platform = api.getAppBaseInfo?.().uniPlatform ?? api.getSystemInfoSync?.().uniPlatform;
    this.isAlipay = platform === 'mp-alipay';
    this.encode = this.isAlipay ? encodeBase64 : undefined;
    this.room = { keyBytes: this.isAlipay ? 200_000 : 1_000_000, bytes: 5_000_000 };
  }

  protected task(url: string): TaskOptions['open'] {
    // Given one of the handlers it returns a task, without any a promise. `multiple` is what Alipay asks for.
    const success = (): void => undefined;
    return (fail) => inTurn(() => this.api.connectSocket({ url, protocols, multiple: true, success, fail, complete: success }));
  }

  protected override decode(data: unknown): Uint8Array | string {
    return nestedFrame(data);
  }

  override signals(emit: (signal: HostSignal) => void): () => void {
    const stop = super.signals(emit);
    // An app tells of itself through HTML5+, where `uni.onAppShow` is missing.
    const events = typeof plus === 'undefined' || this.api.onAppShow ? undefined : plus.globalEvent;
    const resumed = (): void => emit('foreground');
    const paused = (): void => emit('background');
    events?.addEventListener('resume', resumed);
    events?.addEventListener('pause', paused);
    return () => {
      stop();
      events?.removeEventListener('resume', resumed);
      events?.removeEventListener('pause', paused);
    };
  }
}

/** When a socket was asked for last. */
let last = 0;

/** An app names its sockets by the millisecond, and takes two of one for the same: a socket waits until the last one's is over. */
function inTurn<T>(open: () => T | Promise<T>): T | Promise<T> {
  if (Date.now() === last) return new Promise((resolve) => setTimeout(resolve, 1)).then(() => inTurn(open));
  const made = open();
  last = Date.now();
  return made;
}

/** Tells whether this is an H5 page: it has all that a page has, and of `uni` only what the app itself names. */
export function isH5(): boolean {
  return typeof document === 'object' && typeof plus === 'undefined';
}

function uniApp(): Uni {
  if (typeof uni === 'undefined') throw new MoorlineError('client.runtime', 'there is no `uni`: moorline/uni is for uni-app');
  return uni;
}
