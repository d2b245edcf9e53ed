import { indexedDb } from '../store/indexeddb.js';
import type { Host } from './host.js';
import { networkSignals, webHost } from './web.js';

/** A worker of a browser. Its page tells it what happens to the app: `client.lifecycle()`. */
export function workerHost(): Host {
  return { ...webHost(), name: 'worker', signals: networkSignals, store: (name) => indexedDb(name === undefined ? { ifLocked: 'memory' } : { name, ifLocked: 'memory' }) };
}
