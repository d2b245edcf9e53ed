import { decodeBase64, encodeBase64 } from '../../../src/core/base64.js';
import type { Machine } from './machine.js';
import { type Quirks, bufferOf, takeBuffer, vendorApi } from './vendor.js';

/** How a module is started, where the engine can. */
type Instantiate = ((bytes: Uint8Array) => Promise<object>) | undefined;

const common: Omit<Quirks, 'gives'> = {
  sockets: 5, deliver: bufferOf, take: takeBuffer, failure: (errMsg) => ({ errMsg }), missing: 'fails', tellsOwnClose: true, closesEarly: true,
};

/**
 * WeChat, as https://developers.weixin.qq.com/miniprogram/dev/ describes it (paths below that):
 * - api/network/websocket/wx.connectSocket: at most 5 sockets; the task is returned at once; texts and buffers both ways;
 * - api/network/websocket/SocketTask.send: fails where the socket is not open;
 * - api/base/crypto/wx.getRandomValues: random bytes come later;
 * - framework/performance/wasm: `WXWebAssembly.instantiate` takes a path of the package, `.wasm` or `.wasm.br`, nothing else;
 * - framework/runtime/operating-mechanism: 5 s after it is hidden an app is suspended; callbacks come when it is shown again;
 * - api/storage/wx.setStorage: 1 MB under a key, 10 MB in all.
 *
 * That `onClose` may never come after a time in the background, nor after the app's own `close`, is what developers report
 * (https://developers.weixin.qq.com/community/), not what is documented.
 */
export function wechat(machine: Machine, instantiate: Instantiate) {
  const wx = {
    ...vendorApi(machine, { ...common, gives: (task) => task, tellsOwnClose: false }),
    getRandomValues({ length, success }: { length: number; success: (made: { randomValues: ArrayBuffer }) => void }): void {
      void machine.ground.random(length).then((bytes) => success({ randomValues: bytes.slice().buffer as ArrayBuffer }));
    },
  };
  const WXWebAssembly = {
    async instantiate(path: unknown, imports: unknown): Promise<object> {
      if (typeof path !== 'string' || !/\.wasm(\.br)?$/.test(path)) throw new TypeError('a path of the package is needed, with .wasm or .wasm.br');
      if (typeof imports !== 'object') throw new TypeError('imports must be an object');
      return instantiate!(await machine.ground.file(path));
    },
  };
  return { wx, ...(instantiate ? { WXWebAssembly } : {}) };
}

/**
 * Douyin, as https://developer.open-douyin.com/docs/resource/zh-CN/mini-app/develop/api/ describes it: a task of texts and buffers with
 * `protocols`, `TTWebAssembly` with absolute paths, `tt.getRandomValues` later.
 */
export function douyin(machine: Machine, instantiate: Instantiate) {
  const { wx, WXWebAssembly } = wechat(machine, instantiate) as ReturnType<typeof wechat> & { WXWebAssembly?: object };
  return { tt: wx, ...(WXWebAssembly ? { TTWebAssembly: WXWebAssembly } : {}) };
}

const nested: Omit<Quirks, 'gives'> = {
  ...common,
  deliver: (data) => (typeof data === 'string' ? { data, isBuffer: false } : { data: encodeBase64(data), isBuffer: true }),
  take: ({ data, isBuffer }) => (typeof data !== 'string' ? undefined : isBuffer ? decodeBase64(data) : data),
  failure: (errorMessage) => ({ error: 3, errorMessage }),
  missing: 'null',
};
const alipayLimits = { bytes: 10 << 20, keyBytes: 200 * 1024 };

/**
 * Alipay, as https://opendocs.alipay.com/mini/api/vx19c3 (`my.connectSocket`) and its neighbours describe it: without `multiple: true`
 * there is no task; a message is `{ data: { data, isBuffer } }`, bytes as base64; `send` takes texts, and base64 with `isBuffer`; a
 * storage key that is not there is null; 200 KB under a key. It gives no random bytes.
 */
export function alipay(machine: Machine) {
  machine.limits = alipayLimits;
  return { my: vendorApi(machine, { ...nested, gives: (task, { multiple }) => (multiple ? task : undefined) }) };
}

/**
 * uni-app, as https://uniapp.dcloud.net.cn/api/request/websocket.html describes it: `connectSocket` returns a promise unless it is given
 * `success`, `fail` or `complete`. An app tells of pause and resume through HTML5+ (https://www.html5plus.org/doc/zh_cn/event.html); here it
 * has no `onAppShow`. Its sockets are named by the millisecond, as @dcloudio/uni-app-plus does; Android's module opens no second one of a
 * name, and closes none that is not open yet.
 */
export function uniApp(machine: Machine) {
  let last = 0;
  const isSame = (): boolean => last === (last = Date.now());
  const { onAppShow, offAppShow, onAppHide, offAppHide, ...api } = vendorApi(machine, {
    ...common, sockets: Infinity, closesEarly: false, isSame,
    gives: (task, { success, fail, complete }) => (success || fail || complete ? task : Promise.resolve([null, task])),
  });
  const on = { resume: [onAppShow, offAppShow], pause: [onAppHide, offAppHide] } as const;
  const globalEvent = {
    addEventListener: (name: 'pause' | 'resume', handler: () => void) => on[name][0](handler),
    removeEventListener: (name: 'pause' | 'resume', handler: () => void) => on[name][1](handler),
  };
  return { uni: { ...api, getSystemInfoSync: () => ({ uniPlatform: 'app' }) }, plus: { globalEvent } };
}

/** uni-app on Alipay: it adds no `multiple`, and leaves payloads as they are. */
export function uniAlipay(machine: Machine) {
  machine.limits = alipayLimits;
  const api = vendorApi(machine, {
    ...nested, gives: (task, { multiple, success, fail, complete }) => (!multiple ? undefined : success || fail || complete ? task : Promise.resolve([null, task])),
  });
  return { uni: { ...api, getSystemInfoSync: () => ({ uniPlatform: 'mp-alipay' }) } };
}

/** Taro, as https://docs.taro.zone/docs/apis/network/webSocket/connectSocket describes it: a promise of a task, always. */
export function taro(machine: Machine) {
  return { Taro: { ...vendorApi(machine, { ...common, gives: (task) => Promise.resolve(task) }), getEnv: () => 'WEAPP' } };
}
