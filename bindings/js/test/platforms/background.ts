import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Client, type Message, createClient } from '../../src/index.js';
import { once } from '../kit/kit.js';
import { Server } from '../kit/server.js';
import { Device } from './device.js';
import type { Boot } from './engine.js';
import type { Machine } from './sim/machine.js';

let count = 0;

/** What a phone does to an app: it is suspended, and its storage is full. */
export function background(entry: string, platform: string, boot: Boot): void {
  // A server that pings every 25 s: what is noticed here is not noticed by its silence.
  let server: Server;
  let device: Device;
  let machine: Machine;
  let phone: Client;
  let peer: Client;
  let channel: string;
  let states: string[];
  let received: unknown[];
  const open = (options: object = {}): Client => (device.run('__moorline') as { createClient: typeof createClient }).createClient({ url: server.url, token: `dev:phone-${count}`, ...options });
  const arrives = (last: unknown): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => void (received.includes(last) && resolve());
      phone.channel(channel).on('message', look);
      look();
    });

  beforeAll(async () => void (server = await Server.start()));
  afterAll(() => server.remove());
  beforeEach(async () => {
    device = await Device.start(entry, platform, boot);
    machine = device.run('__machine') as Machine;
    machine.hasManySockets = false;
    channel = `room:background-${++count}`;
    phone = open();
    peer = createClient({ url: server.url, token: 'dev:peer' });
    const room = phone.channel(channel);
    [states, received] = [[], []];
    phone.on('state', (state, { kind }) => states.push(`${state} ${kind}`));
    room.on('message', (message: Message) => received.push(message.data));
    await once((handler) => room.on('subscribed', handler));
  });
  afterEach(async () => {
    await Promise.all([phone.close(), peer.close()]);
    device.close();
  });

  test('sockets that died in the background, without a word: noticed when the app is shown, and nothing is lost', async () => {
    machine.hide();
    machine.suspend(true);
    for (const i of [1, 2, 3]) await peer.channel(channel).publish(i).stored;
    machine.show();
    await arrives(3);
    expect(received).toEqual([1, 2, 3]);
    expect(states.slice(-2)).toEqual(['recovering silent', 'online welcome']);
  });

  test('timers that come in a burst, and a socket that lives: nothing is given up', async () => {
    machine.hide();
    // Ten minutes: every deadline that the client has is long over.
    machine.suspend(false, 600_000);
    for (const i of [1, 2, 3]) await peer.channel(channel).publish(i).stored;
    const before = states.length;
    expect(machine.show()).toBeGreaterThan(0);
    await arrives(3);
    await phone.channel(channel).publish(4).stored;
    expect(received.slice(0, 3)).toEqual([1, 2, 3]);
    expect(states.slice(before)).toEqual([]);
  });

  test('says what has no room in the storage, and keeps what had', async () => {
    phone.disconnect();
    const room = phone.channel(channel);
    const first = room.publish('x'.repeat(50_000));
    await first.queued;
    machine.limits = { ...machine.limits, bytes: 150_000 };
    const receipts = Array.from({ length: 4 }, () => room.publish('y'.repeat(50_000)));
    const ends = await Promise.allSettled(receipts.map((receipt) => receipt.queued));
    expect(ends.filter((end) => end.status === 'rejected').map((end) => (end.reason as { code: string }).code)).toContain('storage.full');
    const kept = receipts.filter((_, i) => ends[i]!.status === 'fulfilled');
    machine.limits = { ...machine.limits, bytes: 10 << 20 };
    void phone.connect();
    await Promise.all([first, ...kept].map((receipt) => receipt.stored));
    expect((await peer.channel(channel).history()).messages.length).toBe(1 + kept.length);
  });
}
