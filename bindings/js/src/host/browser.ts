import { indexedDb } from '../store/indexeddb.js';
import type { Host } from './host.js';
import { networkSignals, webHost } from './web.js';

/** A page of a browser: WebSocket, IndexedDB, visibility and connectivity. */
export function browserHost(): Host {
  return {
    ...webHost(),
    name: 'browser',
    signals(emit) {
      const stop = networkSignals(emit);
      const changed = (): void => emit(document.visibilityState === 'hidden' ? 'background' : 'foreground');
      const resumed = (): void => emit('wake');
      const shown = (event: PageTransitionEvent): void => {
        if (event.persisted) emit('wake');
      };
      document.addEventListener('visibilitychange', changed);
      document.addEventListener('resume', resumed);
      globalThis.addEventListener('pageshow', shown);
      if (document.visibilityState === 'hidden') changed();
      return () => {
        stop();
        document.removeEventListener('visibilitychange', changed);
        document.removeEventListener('resume', resumed);
        globalThis.removeEventListener('pageshow', shown);
      };
    },
    store: (name) => indexedDb(name === undefined ? { ifLocked: 'memory' } : { name, ifLocked: 'memory' }),
  };
}
