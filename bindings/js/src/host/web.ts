import { MoorlineError, messageOf } from '../errors.js';
import type { Host, HostSignal, Socket, SocketEvents } from './host.js';

/** What a page and a worker have in common. */
export function webHost(): Pick<Host, 'open' | 'now' | 'random' | 'timer' | 'report'> {
  return {
    open,
    now: () => performance.now(),
    random,
    timer(ms, fire) {
      const timer = setTimeout(fire, ms);
      return () => clearTimeout(timer);
    },
    report: (error) => void Promise.reject(error),
  };
}

/** Online and offline, where the platform tells. */
export function networkSignals(emit: (signal: HostSignal) => void): () => void {
  const online = (): void => emit('online');
  const offline = (): void => emit('offline');
  globalThis.addEventListener('online', online);
  globalThis.addEventListener('offline', offline);
  return () => {
    globalThis.removeEventListener('online', online);
    globalThis.removeEventListener('offline', offline);
  };
}

function random(into: Uint8Array): void {
  if (typeof crypto !== 'object' || typeof crypto.getRandomValues !== 'function') {
    throw new MoorlineError('client.random', 'this browser has no crypto.getRandomValues, which secrets need');
  }
  crypto.getRandomValues(into as Uint8Array<ArrayBuffer>);
}

function open(url: string, events: SocketEvents): Socket {
  let socket: WebSocket;
  try {
    socket = new WebSocket(url, 'moorline.v1.bin');
  } catch (error) {
    void Promise.resolve().then(() => events.closed(undefined, messageOf(error)));
    return { send: () => undefined, buffered: undefined, close: () => undefined };
  }
  socket.binaryType = 'arraybuffer';
  let isOpen = false;
  socket.onopen = () => {
    isOpen = true;
    events.opened();
  };
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) =>
    events.frame(typeof data === 'string' ? data : new Uint8Array(data));
  socket.onclose = ({ type, code, reason, wasClean }) => {
    // 1005 and 1006 are not codes that a peer sent. Why a socket did not open, a browser keeps to itself: this is what it tells.
    if (code !== 1005 && code !== 1006) events.closed(code);
    else events.closed(undefined, isOpen ? undefined : `the WebSocket did not open: ${type} ${code} "${reason}", wasClean ${wasClean}, onLine ${navigator.onLine}`);
  };
  return {
    send: (frame) => socket.send(frame as Uint8Array<ArrayBuffer>),
    get buffered() {
      return socket.bufferedAmount;
    },
    close: (code, reason) => socket.close(code, reason),
  };
}
