import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { AlipayHost } from '../../src/host/alipay.js';
import { DouyinHost } from '../../src/host/douyin.js';
import type { Host, SocketEvents } from '../../src/host/host.js';
import { ReactNativeHost } from '../../src/host/react-native.js';
import { TaroHost } from '../../src/host/taro.js';
import { UniHost } from '../../src/host/uni.js';
import { WechatHost } from '../../src/host/wechat.js';
import { describeHost } from '../../src/testing/index.js';
import { Server } from '../kit/server.js';
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

/** A host over a simulated platform of its own. */
const hosts: Readonly<Record<string, () => Host>> = {
  wechat: () => new WechatHost(vendors.wechat(new Machine(ground), undefined).wx as never),
  douyin: () => new DouyinHost(vendors.douyin(new Machine(ground), undefined).tt as never),
  alipay: () => new AlipayHost(vendors.alipay(new Machine(ground)).my as never),
  'uni, an app': () => new UniHost(vendors.uniApp(new Machine(ground)).uni as never),
  'uni on alipay': () => new UniHost(vendors.uniAlipay(new Machine(ground)).uni as never),
  taro: () => new TaroHost(vendors.taro(new Machine(ground)).Taro as never),
  'react-native': () => {
    const { WebSocket, AppState, NetInfo, AsyncStorage } = reactNative(new Machine(ground));
    (globalThis as { WebSocket?: unknown }).WebSocket = WebSocket;
    return new ReactNativeHost({ appState: AppState, netInfo: NetInfo, storage: AsyncStorage });
  },
};

for (const [name, make] of Object.entries(hosts)) {
  describeHost(name, () => quiet(make()), { describe, it, url: server.url });
}

describe('what is sent', () => {
  const events: SocketEvents = { opened: () => undefined, frame: () => undefined, closed: () => undefined };
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

describe('off its platform', () => {
  test.each([['wechat', () => new WechatHost(), 'wx'], ['douyin', () => new DouyinHost(), 'tt'], ['alipay', () => new AlipayHost(), 'my'], ['uni', () => new UniHost(), 'uni']] as const)(
    '%s says so',
    (name, make, missing) => {
      expect(make).toThrow(expect.objectContaining({ code: 'client.runtime', message: expect.stringMatching(new RegExp(`\`${missing}\`.*moorline/${name}`)) as string }) as Error);
    },
  );
});
