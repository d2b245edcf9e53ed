import { decodeBase64, encodeBase64 } from '../core/base64.js';
import { MoorlineError } from '../errors.js';
import { MiniHost, type MiniApi, protocols } from './mini/host.js';
import { type Failure, type SocketTask, type TaskOptions, frameOf } from './mini/task.js';

/** What is used of `my`. */
export interface My extends MiniApi {
  connectSocket(options: { readonly url: string; readonly protocols: readonly string[]; readonly multiple: true; readonly fail: (why?: Failure) => void }): SocketTask;
}

declare const my: My;

/** Alipay mini-programs. Bytes cross as base64, and a message's payload lies one level deeper than elsewhere. */
export class AlipayHost extends MiniHost {
  readonly name = 'alipay';
  protected override readonly room = { keyBytes: 200_000, bytes: 5_000_000 };
  protected override readonly encode = encodeBase64;

  constructor(protected override readonly api: My = alipay()) {
    super(api);
  }

  protected task(url: string): TaskOptions['open'] {
    // Without `multiple` a second socket closes the first, and there is no task.
    return (fail) => this.api.connectSocket({ url, protocols, multiple: true, fail });
  }

  protected override decode(data: unknown): Uint8Array | string {
    return nestedFrame(data);
  }
}

/** A frame of what Alipay gives: `{ data, isBuffer }`, the bytes as base64 or as a buffer. */
export function nestedFrame(message: unknown): Uint8Array | string {
  if (typeof message !== 'object' || message === null || !('data' in message)) return frameOf(message);
  const { data, isBuffer } = message as { readonly data: unknown; readonly isBuffer?: boolean };
  return isBuffer && typeof data === 'string' ? decodeBase64(data) : frameOf(data);
}

function alipay(): My {
  if (typeof my === 'undefined') throw new MoorlineError('client.runtime', 'there is no `my`: moorline/alipay is for Alipay mini-programs');
  return my;
}
