import { messageOf } from '../errors.js';
import { memory } from '../store/memory.js';
import { type KeyValue, sharded } from '../store/sharded.js';
import type { Host, HostSignal, Socket, SocketEvents, Store } from './host.js';
import { steadyClock } from './mini/clock.js';
import { Random } from './mini/random.js';

/** What React Native and its usual packages lend. */
export interface ReactNativeParts {
  /** `AppState` of react-native. */
  readonly appState?: { readonly currentState?: string | null; addEventListener(type: 'change', handler: (state: string) => void): { remove(): void } | undefined };
  /** `NetInfo` of @react-native-community/netinfo. */
  readonly netInfo?: { addEventListener(handler: (state: { readonly isConnected: boolean | null }) => void): () => void };
  /** `AsyncStorage` of @react-native-async-storage/async-storage; without one, the store is in memory. */
  readonly storage?: {
    getAllKeys(): Promise<readonly string[]>; getItem(key: string): Promise<string | null>;
    setItem(key: string, value: string): Promise<void>; removeItem(key: string): Promise<void>;
  };
}

/** React Native, with its own WebSocket. */
export class ReactNativeHost implements Host {
  readonly name = 'react-native';
  readonly now = steadyClock();
  private readonly chance = new Random();

  constructor(private readonly parts: ReactNativeParts = {}) {}

  open(url: string, events: SocketEvents): Socket {
    let why: string | undefined;
    let isOver = false;
    const over = (code?: number): void => {
      if (isOver) return;
      isOver = true;
      void Promise.resolve().then(() => events.closed(code, code === undefined ? why : undefined));
    };
    let socket: WebSocket;
    try {
      socket = new WebSocket(url, 'moorline.v1.bin');
      socket.binaryType = 'arraybuffer';
    } catch (error) {
      why = messageOf(error);
      over();
      return { send: () => undefined, buffered: undefined, close: () => undefined };
    }
    const alive = (act: () => void): void => void (isOver || act());
    socket.onopen = () => alive(() => events.opened());
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => alive(() => events.frame(typeof data === 'string' ? data : new Uint8Array(data)));
    socket.onerror = (error) => (why = (error as { readonly message?: string }).message);
    // 1005 and 1006 are not codes that a peer sent. What went wrong is said by the error, or, in 0.81, by the close after it.
    socket.onclose = ({ code, reason }) => {
      const isLost = code === undefined || code === 1005 || code === 1006;
      if (isLost) why ??= reason || undefined;
      over(isLost ? undefined : code);
    };
    return {
      send: (frame) => void (isOver || socket.send(frame as Uint8Array<ArrayBuffer>)),
      // It says 0 at all times.
      buffered: undefined,
      close(code, reason) {
        over();
        // The native side takes 1000 and 3000 to 4999, and throws at anything else.
        socket.close(code === 1000 || (code >= 3000 && code < 5000) ? code : 1000, reason);
      },
    };
  }

  random(into: Uint8Array): void {
    if (typeof crypto === 'object' && typeof crypto.getRandomValues === 'function') crypto.getRandomValues(into as Uint8Array<ArrayBuffer>);
    else this.chance.fill(into);
  }

  timer(ms: number, fire: () => void): () => void {
    const timer = setTimeout(fire, ms);
    return () => clearTimeout(timer);
  }

  signals(emit: (signal: HostSignal) => void): () => void {
    const { appState, netInfo } = this.parts;
    let isOver = false;
    const tell = (signal: HostSignal): void => void (isOver || emit(signal));
    // `inactive` is a moment on the way, such as a call that rings: the app still runs.
    const app = appState?.addEventListener('change', (state) => state !== 'inactive' && tell(state === 'active' ? 'foreground' : 'background'));
    if (appState?.currentState === 'background') tell('background');
    const stop = netInfo?.addEventListener(({ isConnected }) => isConnected !== null && tell(isConnected ? 'online' : 'offline'));
    return () => {
      // Before 0.65 a handler of `AppState` is not given back this way.
      isOver = true;
      app?.remove();
      stop?.();
    };
  }

  store(name = 'moorline'): Store {
    const { storage } = this.parts;
    // A row of Android's AsyncStorage must fit into a cursor window of 2 MB, all rows into 6 MB.
    return storage ? sharded(keyValue(storage), { name, keyBytes: 500_000, bytes: 4_000_000, report: (error) => this.report(error) }) : memory();
  }

  report(error: unknown): void {
    void Promise.reject(error);
  }
}

function keyValue(storage: NonNullable<ReactNativeParts['storage']>): KeyValue {
  return {
    keys: () => storage.getAllKeys(),
    get: (key) => storage.getItem(key).then((value) => value ?? undefined),
    set: (key, value) => storage.setItem(key, value),
    remove: (key) => storage.removeItem(key),
  };
}
