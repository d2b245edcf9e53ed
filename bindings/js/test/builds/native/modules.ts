import type { Ground, Machine } from '../../platforms/sim/machine.js';
import type { RawSocket } from '../../platforms/vm/kernel.js';
import { bytesOf, textOf } from './base64.js';

/** What modules need of the phone around them. */
export interface Phone {
  readonly machine: Machine;
  readonly open: Ground['open'];
  /** Runs what a module answers, after the call has returned. */
  later(run: () => void): void;
  /** Tells JavaScript of an event. */
  emit(event: string, payload: object): void;
  failed(why: string): void;
}

type Module = Record<string, unknown>;

/** An exception that JavaScript could not handle. */
interface Reported {
  readonly message: string;
  readonly extraData?: { readonly rawStack?: string };
}

declare const HermesInternal: { enqueueJob(run: () => void): void };

const nothing = (): void => undefined;
const emitter = { addListener: nothing, removeListeners: nothing };

/** The native modules that a chat needs, as src/private/specs_DEPRECATED/modules describes them, on an Android 14. */
export function modulesOf(phone: Phone): Record<string, Module> {
  const size = { width: 1080, height: 2400, scale: 2.75, fontScale: 1, densityDpi: 440 };
  return {
    PlatformConstants: constants({
      isTesting: false, isDisableAnimations: false, reactNativeVersion: { major: 0, minor: 81, patch: 6, prerelease: null }, Version: 34, Release: '14',
      Serial: 'unknown', Fingerprint: 'simulated', Model: 'simulated', Brand: 'simulated', Manufacturer: 'simulated', uiMode: 'normal',
    }),
    DeviceInfo: constants({ Dimensions: { windowPhysicalPixels: size, screenPhysicalPixels: size }, isEdgeToEdge: false }),
    SourceCode: constants({ scriptURL: 'assets://index.android.bundle' }),
    ExceptionsManager: { reportException: ({ message, extraData }: Reported) => phone.failed(`${message}\n${extraData?.rawStack}`) },
    NativeReactNativeFeatureFlagsCxx: {},
    NativeMicrotasksCxx: { queueMicrotask: (run: () => void) => HermesInternal.enqueueJob(run) },
    NativeIdleCallbacksCxx: {
      requestIdleCallback: (run: (deadline: object) => void) => phone.later(() => run({ didTimeout: false, timeRemaining: () => 50 })),
      cancelIdleCallback: nothing,
    },
    AppState: appState(phone),
    WebSocketModule: webSocket(phone),
  };
}

function constants(values: object): Module {
  return { getConstants: () => values };
}

/** ReactAndroid's AppStateModule. */
function appState({ machine, later, emit }: Phone): Module {
  let now = 'active';
  const become = (state: string): void => {
    now = state;
    emit('appStateDidChange', { app_state: state });
  };
  machine.shown.add(() => become('active'));
  machine.hidden.add(() => become('background'));
  return {
    ...emitter,
    getConstants: () => ({ initialAppState: now }),
    getCurrentAppState: (tell: (state: object) => void) => later(() => tell({ app_state: now })),
  };
}

/** ReactAndroid's WebSocketModule, over real sockets. Bytes come and go in base64. */
function webSocket({ open, emit }: Phone): Module {
  const sockets = new Map<number, RawSocket>();
  return {
    ...emitter,
    connect(url: string, protocols: readonly string[] | null, _options: object, id: number): void {
      sockets.set(id, open(url, protocols ?? [], {
        opened: () => emit('websocketOpen', { id, protocol: protocols?.[0] ?? '' }),
        frame: (data) => emit('websocketMessage', typeof data === 'string' ? { id, type: 'text', data } : { id, type: 'binary', data: textOf(data) }),
        closed(code, reason, failed): void {
          sockets.delete(id);
          if (failed) emit('websocketFailed', { id, message: reason });
          else emit('websocketClosed', { id, code, reason });
        },
      }));
    },
    send: (text: string, id: number) => sockets.get(id)?.send(text),
    sendBinary: (base64: string, id: number) => sockets.get(id)?.send(bytesOf(base64)),
    ping: nothing,
    close: (code: number, reason: string, id: number) => sockets.get(id)?.close(code, reason),
  };
}
