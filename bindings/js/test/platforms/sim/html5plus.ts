import type { Machine, NetworkStatus } from './machine.js';
import { nativeSockets } from './native-sockets.js';

type Handler = (event: object) => void;

export type Os = 'Android' | 'iOS';

/** Where scripts for a webview go. */
export type Eval = (script: string) => void;

const networks: Readonly<Record<string, number>> = { unknown: 0, none: 1, ethernet: 2, wifi: 3, '2g': 4, '3g': 5, '4g': 6, '5g': 7 };
const insets = { top: 0, bottom: 0, left: 0, right: 0, deviceTop: 0, deviceBottom: 0, deviceLeft: 0, deviceRight: 0 };
const system = { osVersion: '17', deviceBrand: 'simulated', deviceModel: 'simulated', uniPlatform: 'app', osLanguage: 'en' };

class Events {
  private readonly handlers = new Map<string, Set<Handler>>();
  readonly addEventListener = (name: string, handler: Handler): void => {
    const set = this.handlers.get(name) ?? new Set();
    this.handlers.set(name, set.add(handler));
  };
  readonly removeEventListener = (name: string, handler: Handler): void => void this.handlers.get(name)?.delete(handler);
  emit(name: string, event: object): void {
    for (const handler of [...(this.handlers.get(name) ?? [])]) handler(event);
  }
}

/** A webview as the service layer holds it. */
class Webview extends Events {
  private style: object = {};
  constructor(
    readonly id: string,
    readonly evalJS: Eval,
  ) {
    super();
  }
  setStyle(style: object): void {
    this.style = { ...this.style, ...style };
  }
  readonly getStyle = (): object => this.style;
  readonly getSafeAreaInsets = (): object => insets;
  show(_animation: string, _ms: number, shown: () => void): void {
    shown();
  }
}

/**
 * What an app of uni-app has beside its own script: HTML5+, as https://www.html5plus.org/doc/h5p.html describes it, and the native modules
 * of Weex; of both what the service layer in @dcloudio/uni-app-plus calls when it starts, shows a page, stores and opens sockets. One
 * webview shows the page, and is sent scripts by `evaluate`; the next one, made ahead, stays empty.
 */
export function html5plus(machine: Machine, evaluate: Eval, name: Os = 'Android') {
  const events = new Events();
  const nativeEvents = new Events();
  const webviews = new Map([['1', new Webview('1', evaluate)]]);
  let network: NetworkStatus = { isConnected: true, networkType: 'wifi' };
  machine.shown.add(() => events.emit('resume', {}));
  machine.hidden.add(() => events.emit('pause', {}));
  machine.networks.add((now) => {
    network = now;
    events.emit('netchange', {});
  });
  const plus = {
    os: { name, version: system.osVersion, language: system.osLanguage },
    runtime: { arguments: '', channel: '', launcher: 'default', innerVersion: '1.9.9' },
    navigator: {
      setStatusBarStyle: () => undefined, getStatusBarStyle: () => 'dark', isImmersedStatusbar: () => true, getStatusbarHeight: () => 24,
      getSafeAreaInsets: () => insets, getOrientation: () => 0, getUIStyle: () => 'light', closeSplashscreen: () => undefined,
    },
    screen: { scale: 2, getCurrentSize: () => ({ resolutionWidth: 390, resolutionHeight: 800 }) },
    key: new Events(),
    globalEvent: events,
    networkinfo: { getCurrentType: () => networks[network.isConnected ? network.networkType : 'none'] ?? 0 },
    storage: storageOf(machine),
    webview: {
      getLaunchWebview: () => webviews.get('1'),
      getWebviewById: (id: string) => webviews.get(id) ?? null,
      create(_url: string, id: string) {
        webviews.set(id, new Webview(id, () => undefined));
        return webviews.get(id);
      },
    },
    // Ten seconds after its start the service layer looks for files that it left: there are none.
    io: { convertLocalFileSystemURL: (path: string) => path, convertAbsoluteFileSystem: (path: string) => path, resolveLocalFileSystemURL: () => undefined },
  };
  const modules: Readonly<Record<string, object>> = {
    plus: { getLanguage: () => 'en', getSystemInfoSync: () => JSON.stringify({ ...system, osName: name }), getRedirectInfo: () => ({}), getAppState: () => 1 },
    globalEvent: nativeEvents,
    'uni-webSocket': nativeSockets(machine),
  };
  const weex = {
    config: { preload: false, env: { platform: name, scale: 2, deviceWidth: 780 } },
    requireModule: (name: string) => modules[name],
  };
  /** Hands the service layer what a webview has posted. */
  const posted = (message: object): void => machine.enter(() => events.emit('plusMessage', { data: message }));
  return { plus, weex, posted };
}

/** `plus.storage`: keys and texts, at once or later. */
function storageOf(machine: Machine) {
  const { storage } = machine;
  const later = (done: Handler | undefined, event: object): void => void machine.setTimeout(() => done?.(event));
  const missing = { code: -4, message: 'no such key' };
  return {
    getLength: () => storage.size,
    key: (at: number) => [...storage.keys()][at],
    getItem: (key: string) => storage.get(key) ?? null,
    getItemAsync(key: string, done: Handler, failed?: Handler): void {
      const data = storage.get(key);
      if (data === undefined) later(failed, missing);
      else later(done, { data });
    },
    setItem: (key: string, value: string) => void machine.set(key, value),
    setItemAsync(key: string, value: string, done?: Handler, failed?: Handler): void {
      const message = machine.set(key, value);
      if (message === undefined) later(done, {});
      else later(failed, { code: -1, message });
    },
    removeItem: (key: string) => void storage.delete(key),
    removeItemAsync(key: string, done?: Handler): void {
      storage.delete(key);
      later(done, {});
    },
  };
}
