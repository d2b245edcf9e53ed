import { browserHost } from './browser.js';
import type { Host } from './host.js';
import { workerHost } from './worker.js';

/** The host that this code runs on: a page or a worker. */
export function defaultHost(): Host {
  return typeof document === 'object' ? browserHost() : workerHost();
}
