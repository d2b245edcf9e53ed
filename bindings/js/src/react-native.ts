import { type ClientOptions, Client } from './client.js';
import { once } from './core/wasm.js';
import { ReactNativeHost, type ReactNativeParts } from './host/react-native.js';
import { Messages } from './messages.js';
import { startAsm } from './mini.js';

export * from './exports.js';
export { ReactNativeHost };
export type { ReactNativeParts };

const load = once(startAsm);

// Hermes has no `Symbol.asyncIterator`: there, Babel's `for await` looks for this name.
Object.assign(Messages.prototype, {
  '@@asyncIterator'(this: Messages): Messages {
    return this;
  },
});

/**
 * Makes a client for React Native. Its core is plain JavaScript. Give it `AppState`, so that it knows when the app is in front;
 * NetInfo and AsyncStorage if the app has them. Nothing is connected yet: the first use does, or `connect()`. Throws for options
 * that make no sense.
 */
export function createClient(options: ClientOptions & ReactNativeParts): Client {
  return new Client(options, { load, host: () => new ReactNativeHost(options) });
}
