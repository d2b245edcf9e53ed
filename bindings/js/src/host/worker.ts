import { indexedDb } from '../store/indexeddb.js';
import type { Host } from './host.js';
import { memory } from '../store/memory.js';
import { webTabs } from './tabs.js';
import { networkSignals, webHost } from './web.js';

/** A worker of a browser. Its page tells it what happens to the app: `client.lifecycle()`. */
export function workerHost(): Host {
  return { ...webHost(), name: 'worker', signals: networkSignals, store: (name) => (webTabs() ? indexedDb(name === undefined ? {} : { name }) : memory()), tabs: webTabs };
}
