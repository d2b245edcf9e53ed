import { randomFillSync } from 'node:crypto';
import WebSocket from 'ws';
import { messageOf } from '../errors.js';
import type { Host, Socket, SocketEvents } from './host.js';

/** Node: sockets of the `ws` package, the memory store. */
export function nodeHost(): Host {
  return {
    name: 'node',
    open,
    now: () => performance.now(),
    random: (into) => void randomFillSync(into),
    timer(ms, fire) {
      const timer = setTimeout(fire, ms);
      return () => clearTimeout(timer);
    },
    report: (error) => void Promise.reject(error),
  };
}

function open(url: string, events: SocketEvents): Socket {
  let why: string | undefined;
  let socket: WebSocket;
  try {
    socket = new WebSocket(url, 'moorline.v1.bin', { perMessageDeflate: false });
  } catch (error) {
    void Promise.resolve().then(() => events.closed(undefined, messageOf(error)));
    return { send: () => undefined, buffered: undefined, close: () => undefined };
  }
  socket.binaryType = 'nodebuffer';
  socket.on('open', () => events.opened());
  socket.on('message', (data, isBinary) => {
    const bytes = data as Buffer;
    events.frame(isBinary ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes.toString());
  });
  socket.on('ping', () => events.activity?.());
  socket.on('error', (error) => (why = error.message));
  // 1005 and 1006 are not codes that a peer sent.
  socket.on('close', (code) => (code === 1005 || code === 1006 ? events.closed(undefined, why) : events.closed(code)));
  return {
    send: (frame) => socket.send(frame),
    get buffered() {
      return socket.bufferedAmount;
    },
    close: (code, reason) => (socket.readyState === WebSocket.CONNECTING ? socket.terminate() : socket.close(code, reason)),
  };
}
