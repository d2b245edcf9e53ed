import type { Machine, NetworkStatus } from './machine.js';

/**
 * React Native, as https://reactnative.dev/docs/network#websocket-support and its sources (Libraries/WebSocket/WebSocket.js) have it: a
 * `WebSocket` with `binaryType`, and close codes of 1000 and 3000 to 4999 only; `AppState`, with `inactive` on the way; AsyncStorage of
 * promises. Neither `crypto`, `TextDecoder` nor WebAssembly.
 */
export function reactNative(machine: Machine) {
  class WebSocket {
    binaryType = 'blob';
    readonly bufferedAmount = 0;
    onopen: (() => void) | undefined;
    onmessage: ((message: { data: unknown }) => void) | undefined;
    onerror: ((error: object) => void) | undefined;
    onclose: ((closed: { code: number; reason: string }) => void) | undefined;
    private readyState = 0;
    private readonly raw;
    private isForgotten = false;

    constructor(url: string, protocols: string | readonly string[]) {
      if (!/^wss?:\/\/\S+$/.test(url)) throw new SyntaxError(`the URL ${url} is invalid`);
      const tell = (act: () => void): void => machine.enter(() => void (this.isForgotten || act()));
      this.raw = machine.ground.open(url, typeof protocols === 'string' ? [protocols] : protocols, {
        opened: () => tell(() => {
          this.readyState = 1;
          this.onopen?.();
        }),
        frame: (data) => tell(() => this.onmessage?.({ data: typeof data === 'string' ? data : this.binaryType === 'arraybuffer' ? data.slice().buffer : {} })),
        closed: (code, reason, failed) => {
          release();
          tell(() => {
            this.readyState = 3;
            // In 0.81 the error says nothing: what went wrong is the reason of the close.
            if (failed) this.onerror?.({});
            this.onclose?.({ code, reason });
          });
        },
      });
      const release = machine.track(this.raw, () => (this.isForgotten = true));
    }

    send(data: Uint8Array | string): void {
      if (this.readyState === 0) throw new Error('INVALID_STATE_ERR');
      if (typeof data !== 'string' && !ArrayBuffer.isView(data)) throw new Error('Unsupported data type');
      if (this.readyState === 1) this.raw.send(typeof data === 'string' ? data : data.slice());
    }

    close(code = 1000, reason = ''): void {
      if (code !== 1000 && !(code >= 3000 && code < 5000)) throw new Error(`a close code is 1000 or 3000 to 4999, not ${code}`);
      this.readyState = 2;
      this.raw.close(code, reason);
    }
  }
  const changes = new Set<(state: string) => void>();
  machine.shown.add(() => changes.forEach((change) => change('active')));
  machine.hidden.add(() => changes.forEach((change) => (change('inactive'), change('background'))));
  const AppState = {
    currentState: 'active',
    addEventListener(_type: string, change: (state: string) => void) {
      changes.add(change);
      return { remove: () => void changes.delete(change) };
    },
  };
  const NetInfo = {
    addEventListener(handler: (state: { isConnected: boolean; type: string }) => void) {
      const tell = ({ isConnected, networkType }: NetworkStatus): void => handler({ isConnected, type: networkType });
      machine.networks.add(tell);
      return () => void machine.networks.delete(tell);
    },
  };
  const { storage } = machine;
  const AsyncStorage = {
    getAllKeys: () => Promise.resolve([...storage.keys()]),
    getItem: (key: string) => Promise.resolve(storage.get(key) ?? null),
    setItem(key: string, value: string): Promise<void> {
      const why = machine.set(key, value);
      return why === undefined ? Promise.resolve() : Promise.reject(new Error(why));
    },
    removeItem: (key: string) => Promise.resolve(void storage.delete(key)),
  };
  return { WebSocket, AppState, NetInfo, AsyncStorage };
}
