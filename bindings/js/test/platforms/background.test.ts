import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Client, createClient } from '../../src/index.js';
import { Server } from '../kit/server.js';
import { background } from './background.js';
import { Device } from './device.js';
import type { Machine } from './sim/machine.js';
import { v8 } from './v8.js';

const phones: Readonly<Record<string, readonly [entry: string, platform: string]>> = {
  WeChat: ['wechat', 'wechat'], Douyin: ['douyin', 'douyin'], Alipay: ['alipay', 'alipay'], 'uni-app': ['uni', 'uni-app'], Taro: ['taro', 'taro'], 'React Native': ['react-native', 'react-native'],
};

describe.each(Object.keys(phones))('%s', (name) => background(...phones[name]!, v8(true)));

describe('WeChat', () => {
  let server: Server;
  let device: Device;
  beforeAll(async () => void (server = await Server.start()));
  afterAll(() => server.remove());
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
