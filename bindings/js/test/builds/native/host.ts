// A phone around an app of React Native, before the app's bundle begins: what its JavaScript finds of the native side, in the new architecture
// without a bridge, and a person who looks at the screen and touches it.
import { Machine } from '../../platforms/sim/machine.js';
import { Kernel, type Step } from '../../platforms/vm/kernel.js';
import { modulesOf } from './modules.js';
import { Screen, textOf } from './screen.js';
import { schedulerOf, timersOf } from './timers.js';

declare const __global: Record<string, unknown>;
declare const __post: (line: string) => void;
declare const __later: (run: () => void) => void;

/** At what React Native logs errors; deprecations are below. */
const levelOfErrors = 3;
const failures: string[] = [];
const failed = (why: string): void => void failures.push(why);
/** Runs what the system calls: what goes wrong in there is told by the next step. */
const enter = (run: () => void): void => {
  try {
    run();
  } catch (error) {
    failed(error instanceof Error ? `${error.message}\n${error.stack}` : String(error));
  }
};
const later = (run: () => void): void => __later(() => enter(run));
const kernel = new Kernel((line) => __post(line), (step) => take(step));
const machine = new Machine(kernel);
const screen = new Screen(later);

/** Modules of JavaScript that the native side calls. */
const callable = new Map<string, () => Record<string, (...args: unknown[]) => void>>();
const emit = (event: string, payload: object): void => callable.get('RCTDeviceEventEmitter')!()['emit']!(event, payload);
/** The server that the build knows, and the one that there is. */
const built = 'ws://127.0.0.1:8000/ws';
let server = built;
let sent = 0;
const open: Kernel['open'] = (url, ...rest) => {
  const socket = kernel.open(url.replace(built, server), ...rest);
  return { ...socket, send: (data) => (sent++, socket.send(data)) };
};
const modules = modulesOf({ machine, open, later, emit, failed });

Object.assign(__global, {
  __receive: (line: string) => enter(() => kernel.receive(line)),
  RN$Bridgeless: true,
  RN$UnifiedNativeModuleProxy: true,
  RN$registerCallableModule: (name: string, module: () => Record<string, () => void>) => void callable.set(name, module),
  nativeModuleProxy: new Proxy({}, { get: (_target, name) => modules[name as string] ?? null }),
  nativeFabricUIManager: screen.binding(),
  nativeRuntimeScheduler: schedulerOf(later),
  nativePerformanceNow: () => Date.now(),
  nativeLoggingHook: (text: string, level: number) => level >= levelOfErrors && failed(text),
  ...timersOf(kernel),
});

interface Registry {
  runApplication(name: string, parameters: object, displayMode: number): void;
}

const acts: Record<string, (...args: never[]) => unknown> = {
  start: (name: string, at: string) => {
    server = at;
    (__global['RN$AppRegistry'] as Registry).runApplication(name, { rootTag: 11, initialProps: {}, fabric: true }, 1);
  },
  hide: () => machine.hide(),
  show: () => machine.show(),
  sent: () => sent,
  has: (id: string) => screen.find(id).length > 0,
  type: (id: string, text: string) => screen.type(screen.find(id)[0]!, text),
  tap: (id: string) => screen.tap(screen.find(id)[0]!),
  texts: (id: string) => screen.find(id).map(textOf),
  items: () =>
    screen.find('item').map(({ children }) => {
      const [who, text, receipt] = children.map(textOf);
      return { who, text, receipt };
    }),
};

function take({ name, before }: Step): void {
  let facts: unknown;
  enter(() => (facts = acts[name]!(...(before as never[]))));
  if (failures.length > 0) kernel.request({ t: 'failed', why: failures.join('\n') });
  else kernel.request({ t: 'facts', facts: facts ?? null });
}
