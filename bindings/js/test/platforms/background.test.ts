import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Client, type Message, createClient } from '../../src/index.js';
import { Server } from '../kit/server.js';
import { once } from '../kit/kit.js';
import { Device } from './device.js';
import type { Machine } from './sim/machine.js';
import { v8 } from './v8.js';

// A server that pings every 25 s: what is noticed here is not noticed by its silence.
let server: Server;
beforeAll(async () => void (server = await Server.start()));
afterAll(() => server.remove());

const phones: Readonly<Record<string, readonly [entry: string, platform: string]>> = {
  WeChat: ['wechat', 'wechat'], Douyin: ['douyin', 'douyin'], Alipay: ['alipay', 'alipay'], 'uni-app': ['uni', 'uni-app'], Taro: ['taro', 'taro'], 'React Native': ['react-native', 'react-native'],
};
let count = 0;

describe.each(Object.keys(phones))('%s', (name) => {
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

  beforeEach(async () => {
    device = await Device.start(...phones[name]!, v8(true));
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
    expect(Math.max(...machine.show())).toBeGreaterThan(5_000);
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
});

describe('WeChat', () => {
  let device: Device;
  beforeEach(async () => void (device = await Device.start('wechat', 'wechat', v8(true))));
  afterEach(() => device.close());
  const make = (options: object): Client => (device.run('__moorline') as { createClient: typeof createClient }).createClient({ url: server.url, token: 'dev:alice', ...options });

  test('more sockets than the platform allows: says why, and connects when one is free', async () => {
    const machine = device.run('__machine') as Machine;
    machine.hasManySockets = false;
    const tasks = device.run(`[1, 2, 3, 4, 5].map(function () { return wx.connectSocket({ url: ${JSON.stringify(server.url)}, protocols: ['moorline.v1.bin'] }); })`) as { close(how: object): void }[];
    const client = make({ backoff: { min: 50, max: 100 } });
    const connected = client.connect();
    const cause = await new Promise<{ code: string; message: string }>((resolve) => {
      client.connection.subscribe(() => {
        const { current } = client.connection;
        if (current.state === 'connecting' && current.cause) resolve(current.cause);
      });
    });
    expect(cause).toMatchObject({ code: 'transport.unreachable', message: expect.stringContaining('exceed max websocket connect count 5') as string });
    tasks[0]!.close({});
    await connected;
    await client.close();
  });

  test('the core comes from the package as WebAssembly; where it cannot be had, in JavaScript', async () => {
    const paths: string[] = [];
    const modules = device.run('WXWebAssembly') as { instantiate(path: string, imports: object): Promise<object> };
    const { instantiate } = modules;
    let started = 0;
    modules.instantiate = async (path, imports) => {
      paths.push(path);
      const made = await instantiate(path, imports);
      started++;
      return made;
    };
    for (const wasm of [undefined, '/moorline/core.wasm', '/elsewhere.wasm.br', false] as const) {
      const client = make(wasm === undefined ? {} : { wasm });
      await client.connect();
      await client.close();
    }
    expect(paths).toEqual(['/moorline/core.wasm.br', '/moorline/core.wasm', '/elsewhere.wasm.br']);
    expect(started).toBe(2);
  });
});
