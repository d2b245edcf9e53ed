import { decodeBase64, encodeBase64 } from '../../../src/core/base64.js';
import type { RawSocket } from '../vm/kernel.js';
import type { Machine } from './machine.js';

/** What the service layer sends: a text, or bytes. */
type Sent = string | { readonly '@type': 'binary'; readonly base64: string };
type Told = (event: object) => void;

interface NativeSocket {
  readonly raw: RawSocket;
  isOpen: boolean;
}

/**
 * The native module `uni-webSocket`, which the service layer of an app (`connectSocket` in @dcloudio/uni-app-plus) asks for sockets. The
 * calls are those of the service layer; what the module makes of them is what Android's does:
 * - each call is one text of JSON, bytes cross as base64;
 * - of a URL that is none nothing comes, not even an error;
 * - a socket whose id is in use is not opened;
 * - a socket that is not open yet is not closed by `close`: it opens later;
 * - `close` looks for `code` and `reason` where the service layer does not put them: 1000 it is;
 * - who fails tells only of an error, who is cut off of a close with 1000.
 */
export function nativeSockets(machine: Machine) {
  const sockets = new Map<string, NativeSocket>();
  const told: Record<'open' | 'message' | 'error' | 'close', Told> = { open: () => undefined, message: () => undefined, error: () => undefined, close: () => undefined };
  const hear = (name: keyof typeof told) => (handler: Told) => void (told[name] = handler);
  const tell = (name: keyof typeof told, event: object): void => machine.enter(() => told[name](event));

  function open(id: string, url: string, protocols: readonly string[]): void {
    let isForgotten = false;
    const say = (name: keyof typeof told, event: object = {}): void => void (isForgotten || tell(name, { id, ...event }));
    const raw = machine.ground.open(url, protocols, {
      opened: () => {
        socket.isOpen = true;
        say('open');
      },
      frame: (data) => say('message', { data: typeof data === 'string' ? data : { '@type': 'binary', base64: encodeBase64(data) } }),
      closed: (code, reason, failed) => {
        // The module does not know that the system has ended it: what is sent goes nowhere.
        if (isForgotten) return;
        release();
        sockets.delete(id);
        if (failed && !socket.isOpen) say('error', { data: reason });
        else say('close', failed ? { code: 1000, reason: 'CLOSE_NORMAL' } : { code, reason });
      },
    });
    const socket: NativeSocket = { raw, isOpen: false };
    const release = machine.track(raw, () => (isForgotten = true));
    sockets.set(id, socket);
  }

  return {
    WebSocket(asked: object): void {
      const { id, url, protocol } = JSON.parse(JSON.stringify(asked)) as { id: string; url: string; protocol?: string };
      if (!sockets.has(id) && /^wss?:\/\/\S+$/.test(url)) open(id, url, protocol ? protocol.split(',') : []);
    },
    send(asked: object): void {
      const { id, data } = JSON.parse(JSON.stringify(asked)) as { id: string; data: Sent };
      const socket = sockets.get(id);
      if (socket?.isOpen) socket.raw.send(typeof data === 'string' ? data : decodeBase64(data.base64));
      else tell('error', { id, data: 'WebSocket is not ready' });
    },
    close(asked: object): void {
      const { id, code, reason } = JSON.parse(JSON.stringify(asked)) as { id: string; code?: number; reason?: string };
      const socket = sockets.get(id);
      if (socket?.isOpen) socket.raw.close(code ?? 1000, reason ?? '');
    },
    onopen: hear('open'),
    onmessage: hear('message'),
    onerror: hear('error'),
    onclose: hear('close'),
  };
}
