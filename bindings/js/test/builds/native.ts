// What an app of React Native finds around it, before its own bundle begins: the globals of the engine's platform, and a way for the test to
// look at the screen and to touch it.
import { Machine } from '../platforms/sim/machine.js';
import { reactNative } from '../platforms/sim/react-native.js';
import { Kernel, type Step } from '../platforms/vm/kernel.js';

declare const __global: Record<string, unknown>;
declare const __post: (line: string) => void;

type Screen = Record<string, (...args: unknown[]) => unknown>;

const kernel = new Kernel((line) => __post(line), (step) => take(step));
const machine = new Machine(kernel);
const { WebSocket, AppState } = reactNative(machine);
const nothing = (): void => undefined;

Object.assign(__global, {
  __receive: (line: string) => kernel.receive(line),
  __reactNative: { AppState },
  WebSocket,
  setTimeout: (fire: () => void, ms: number) => machine.setTimeout(fire, ms),
  clearTimeout: (id: number) => kernel.clearTimeout(id),
  setInterval: nothing,
  clearInterval: nothing,
  console: { log: nothing, info: nothing, warn: nothing, debug: nothing, error: nothing },
});

/** Calls what the app's test entry has put in place. */
function take({ name, before }: Step): void {
  try {
    const facts = (__global['__screen'] as Screen)[name]!(...(before as unknown[]));
    kernel.request({ t: 'facts', facts: facts ?? null });
  } catch (error) {
    kernel.request({ t: 'failed', why: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) });
  }
}
