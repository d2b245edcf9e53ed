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
        if (!event.persisted) return;
        changed();
        resumed();
      };
      // Not every browser tells a page that goes that it is hidden.
      const hidden = (): void => emit('background');
      const ofPage = { visibilitychange: changed, freeze: hidden, resume: resumed };
      for (const [name, told] of Object.entries(ofPage)) document.addEventListener(name, told);
      globalThis.addEventListener('pagehide', hidden);
      globalThis.addEventListener('pageshow', shown);
      if (document.visibilityState === 'hidden') changed();
      return () => {
        stop();
        for (const [name, told] of Object.entries(ofPage)) document.removeEventListener(name, told);
        globalThis.removeEventListener('pagehide', hidden);
        globalThis.removeEventListener('pageshow', shown);
      };
    },
    store: (name) => indexedDb(name === undefined ? { ifLocked: 'memory' } : { name, ifLocked: 'memory' }),
  };
}
