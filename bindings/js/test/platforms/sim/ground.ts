import { randomBytes } from 'node:crypto';
import WebSocket from 'ws';
import type { RawEvents, RawSocket } from '../vm/kernel.js';

/** Opens a real socket. */
export function openRaw(url: string, protocols: readonly string[], events: RawEvents): RawSocket {
  const socket = new WebSocket(url, [...protocols], { perMessageDeflate: false });
  let why: string | undefined;
  socket.on('open', () => events.opened());
  socket.on('message', (data: Buffer, isBinary) => events.frame(isBinary ? new Uint8Array(data) : data.toString()));
  socket.on('error', (error) => (why = error.message));
  socket.on('close', (code, reason) => events.closed(code, why ?? reason.toString(), code === 1006));
  return {
    send: (data) => socket.send(data),
    close: (code, reason) => (socket.readyState === WebSocket.CONNECTING ? socket.terminate() : socket.close(code, reason)),
  };
}

/** A ground for a simulated platform in this process. */
export const ground = {
  open: openRaw,
  setTimeout: (fire: () => void, ms: number) => setTimeout(fire, ms),
  random: (length: number) => Promise.resolve(new Uint8Array(randomBytes(length))),
  file: () => Promise.reject(new Error('there are no files here')),
};
