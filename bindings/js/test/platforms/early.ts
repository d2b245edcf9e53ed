import { expect, vi } from 'vitest';
import type { Host, SocketEvents } from '../../src/host/host.js';
import { ground } from './sim/ground.js';
import { Machine } from './sim/machine.js';

type Make = (machine: Machine) => Host;

const events: SocketEvents = { opened: () => undefined, frame: () => undefined, closed: () => undefined };

/** Opens two sockets while the clock stands still. */
export async function twoOfOneMillisecond(make: Make, url: string): Promise<void> {
  const machine = new Machine(ground);
  const host = make(machine);
  vi.useFakeTimers({ toFake: ['Date'] });
  try {
    const open = (): Promise<void> => new Promise((opened) => void host.open(url, { ...events, opened }));
    const both = Promise.all([open(), open()]);
    vi.setSystemTime(Date.now() + 1);
    await both;
    expect(machine.openSockets).toBe(2);
  } finally {
    vi.useRealTimers();
  }
}

/** Closes a socket at once, and waits for its end: it is the app's own, not the server's. */
export async function closedEarly(make: Make, url: string): Promise<void> {
  const ended = new Promise<number>((resolve) => {
    const open: typeof ground.open = (to, protocols, raw) => {
      const closed: typeof raw.closed = (code, ...why) => {
        raw.closed(code, ...why);
        resolve(code);
      };
      return ground.open(to, protocols, { ...raw, closed });
    };
    make(new Machine({ ...ground, open })).open(url, events).close(1000, '');
  });
  expect(await ended).toBe(1000);
}
