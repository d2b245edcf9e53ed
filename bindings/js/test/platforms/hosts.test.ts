import { afterAll, describe, expect, it, test, vi } from 'vitest';
import { AlipayHost } from '../../src/host/alipay.js';
import { DouyinHost } from '../../src/host/douyin.js';
import type { Host, SocketEvents } from '../../src/host/host.js';
import { ReactNativeHost } from '../../src/host/react-native.js';
import { TaroHost } from '../../src/host/taro.js';
import { UniHost } from '../../src/host/uni.js';
import { WechatHost } from '../../src/host/wechat.js';
import { Client } from '../../src/client.js';
import { start } from '../../src/core/asm.gen.js';
import { Core } from '../../src/core/wasm.js';
import { createTestServer, describeHost } from '../../src/testing/index.js';
import { Server } from '../kit/server.js';
import { closedEarly, twoOfOneMillisecond } from './early.js';
import { ground } from './sim/ground.js';
import { Machine } from './sim/machine.js';
import { reactNative } from './sim/react-native.js';
import * as vendors from './sim/vendors.js';

const server = await Server.start();
afterAll(() => server.remove());

/** What is reported here is an error of the suite's own. */
function quiet<T extends Host>(host: T): T {
  host.report = () => undefined;
  return host;
}

/** A host over a simulated platform. */
const hosts: Readonly<Record<string, (machine: Machine) => Host>> = {
  wechat: (machine) => new WechatHost(vendors.wechat(machine, undefined).wx as never),
  douyin: (machine) => new DouyinHost(vendors.douyin(machine, undefined).tt as never),
  alipay: (machine) => new AlipayHost(vendors.alipay(machine).my as never),
  'uni, an app': (machine) => {
    const { uni, plus } = vendors.uniApp(machine);
    Object.assign(globalThis, { plus });
    return new UniHost(uni as never);
  },
  'uni on alipay': (machine) => new UniHost(vendors.uniAlipay(machine).uni as never),
  taro: (machine) => new TaroHost(vendors.taro(machine).Taro as never),
  'react-native': (machine) => {
    const { WebSocket, AppState, NetInfo, AsyncStorage } = reactNative(machine);
    Object.assign(globalThis, { WebSocket });
    return new ReactNativeHost({ appState: AppState, netInfo: NetInfo, storage: AsyncStorage });
  },
};

for (const [name, make] of Object.entries(hosts)) {
  describeHost(name, () => quiet(make(new Machine(ground))), { describe, it, url: server.url });
}

describe('what happens to the app and the device', () => {
  test.each(Object.keys(hosts))('%s: is told until nobody listens', (name) => {
    const machine = new Machine(ground);
    const heard: string[] = [];
    const stop = hosts[name]!(machine).signals!((signal) => heard.push(signal));
    const goThrough = (): void => {
      machine.hide();
      machine.show();
      machine.network(true, 'wifi');
      machine.network(false, 'none');
      machine.network(true, '4g');
      machine.network(true, '4g');
    };
    goThrough();
    expect(heard).toEqual(['background', 'foreground', 'online', 'offline', 'online', 'online']);
    stop();
    goThrough();
    expect(heard.length).toBe(6);
  });

  test.each(Object.keys(hosts))('%s: back on another network, an attempt that fails is not the last for 20 s', async (name) => {
    const machine = new Machine(ground);
    const platform = hosts[name]!(machine);
    const server = await createTestServer();
    const host = server.host();
    host.signals = (emit) => platform.signals!(emit);
    const client = new Client({ url: server.url, token: 'dev:alice', backoff: { min: 100, max: 200 } }, { load: () => Promise.resolve(new Core({ exports: start() })), host: () => host });
    void client.connect();
    await server.settle();
    machine.network(true, 'wifi');
    machine.network(false, 'none');
    host.offline();
    await server.advance(1_000);
    machine.network(true, '4g');
    await server.advance(50);
    host.heal();
    await server.advance(1_000);
    expect(client.state).toBe('online');
    server.stop();
  });

  test('react-native: an app that is in the background already says so at once, and nothing after it is stopped', () => {
    const handlers: ((state: string) => void)[] = [];
    // Before 0.65 nothing comes back.
    const appState = { currentState: 'background', addEventListener: (_: 'change', handler: (state: string) => void) => (handlers.push(handler), undefined) };
    const heard: string[] = [];
    const stop = new ReactNativeHost({ appState }).signals((signal) => heard.push(signal));
    expect(heard).toEqual(['background']);
    handlers[0]!('active');
    stop();
    handlers[0]!('background');
    expect(heard).toEqual(['background', 'foreground']);
  });
});

const events: SocketEvents = { opened: () => undefined, frame: () => undefined, closed: () => undefined };

describe('sockets of an app of uni-app', () => {
  test('two of one millisecond are two', () => twoOfOneMillisecond(hosts['uni, an app']!, server.url));
  test('one that is closed before it opens does not stay', () => closedEarly(hosts['uni, an app']!, server.url));
});

describe('what is sent', () => {
  test.each(['wechat', 'douyin', 'taro'])('%s: the bytes of a view, never the buffer behind it', async (name) => {
    const sent: unknown[] = [];
    const task = { send: ({ data }: { data: unknown }) => sent.push(data), close: () => undefined, onOpen: () => undefined, onMessage: () => undefined, onError: () => undefined, onClose: () => undefined };
    const api = { connectSocket: () => task } as never;
    const host = name === 'wechat' ? new WechatHost(api) : name === 'douyin' ? new DouyinHost(api) : new TaroHost(api);
    const whole = new Uint8Array(1 << 16).fill(9);
    whole.set([1, 2, 3], 100);
    host.open('ws://127.0.0.1:1/ws', events).send(whole.subarray(100, 103));
    expect(sent[0]).toBeInstanceOf(ArrayBuffer);
    expect([...new Uint8Array(sent[0] as ArrayBuffer)]).toEqual([1, 2, 3]);
  });

  test('alipay: base64 of the bytes of a view, marked as bytes', () => {
    const sent: object[] = [];
    const task = { send: ({ data, isBuffer }: { data: unknown; isBuffer?: boolean }) => sent.push({ data, isBuffer }), close: () => undefined, onOpen: () => undefined, onMessage: () => undefined, onError: () => undefined, onClose: () => undefined };
    const host = new AlipayHost({ connectSocket: (options: { multiple?: boolean }) => (options.multiple ? task : undefined) } as never);
    const socket = host.open('ws://127.0.0.1:1/ws', events);
    for (const length of [0, 1, 2, 3, 4, 255]) {
      const whole = new Uint8Array(300).map((_, i) => i * 7);
      socket.send(whole.subarray(20, 20 + length));
      expect(sent.pop()).toEqual({ data: Buffer.from(whole.subarray(20, 20 + length)).toString('base64'), isBuffer: true });
    }
    socket.send('text');
    expect(sent.pop()).toEqual({ data: 'text', isBuffer: undefined });
  });
});

describe('what platforms return', () => {
  const task = (opens: boolean) => {
    const handlers: Record<string, () => void> = {};
    return {
      send: () => undefined, close: () => undefined, onMessage: () => undefined, onError: () => undefined, onClose: () => undefined,
      // What is not heard when it happens is not told later.
      onOpen: (handler: () => void) => void (handlers['open'] = handler),
      open: () => opens && handlers['open']?.(),
    };
  };
  const opened = (host: Host): Promise<string> =>
    new Promise((resolve) => void host.open('ws://127.0.0.1:1/ws', { opened: () => resolve('opened'), frame: () => undefined, closed: (_, why) => resolve(String(why)) }));

  test('taro: a socket that is open before success is told', async () => {
    const made = task(true);
    const connectSocket = ({ success }: { success?: () => void }): object => {
      void Promise.resolve().then(() => (made.open(), success?.()));
      return made;
    };
    // As @tarojs/shared has it (dist/native-apis.js).
    const Taro = { miniGlobal: { connectSocket }, connectSocket: (options: object) => new Promise((resolve) => connectSocket({ ...options, success: () => resolve(made) })) };
    expect(await opened(new TaroHost(Taro as never))).toBe('opened');
  });

  test('a promise of another realm is one', async () => {
    const made = task(true);
    const thenable = { then: (take: (task: object) => void) => (take(made), made.open()) };
    expect(await opened(new TaroHost({ connectSocket: () => thenable } as never))).toBe('opened');
    const storage = { getStorageInfo: () => ({ then: (_: unknown, fail: (why: Error) => void) => fail(new Error('refused')) }) };
    await expect(Promise.resolve(new WechatHost(storage as never).store().load())).rejects.toThrow('refused');
  });

  test.each([
    ['app', { getAppBaseInfo: () => ({ uniPlatform: 'app' }) }, false],
    ['mp-alipay', { getAppBaseInfo: () => ({ uniPlatform: 'mp-alipay' }) }, true],
    ['mp-alipay, where only the older one says so', { getAppBaseInfo: () => ({}), getSystemInfoSync: () => ({ uniPlatform: 'mp-alipay' }) }, true],
    ['mp-alipay, older', { getSystemInfoSync: () => ({ uniPlatform: 'mp-alipay' }) }, true],
  ])('uni, %s: is found out by what asks nothing of the device', (_, api, isAlipay) => {
    const asked = vi.fn(() => ({ uniPlatform: 'app' }));
    const host = new UniHost({ getSystemInfoSync: asked, ...api } as never);
    expect((host as unknown as { encode?: unknown }).encode !== undefined).toBe(isAlipay);
    expect(asked).not.toHaveBeenCalled();
  });
});

describe('off its platform', () => {
  test.each([['wechat', () => new WechatHost(), 'wx'], ['douyin', () => new DouyinHost(), 'tt'], ['alipay', () => new AlipayHost(), 'my'], ['uni', () => new UniHost(), 'uni']] as const)(
    '%s says so',
    (name, make, missing) => {
      Reflect.deleteProperty(globalThis, missing);
      expect(make).toThrow(expect.objectContaining({ code: 'client.runtime', message: expect.stringMatching(new RegExp(`\`${missing}\`.*moorline/${name}`)) as string }) as Error);
    },
  );
});
