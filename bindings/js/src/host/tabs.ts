import type { TabEnvironment } from '../tabs/environment.js';

/** What pages and workers of one origin share; nothing where the browser lacks a part of it. */
export function webTabs(): TabEnvironment | undefined {
  const { locks } = (globalThis.navigator ?? {}) as Partial<Navigator>;
  if (!locks || typeof BroadcastChannel !== 'function' || typeof indexedDB !== 'object' || !globalThis.crypto?.subtle) return undefined;
  return {
    locks,
    open(name, take) {
      const channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }: MessageEvent<unknown>) => take(data);
      return { post: (message) => channel.postMessage(message), close: () => channel.close() };
    },
    async digest(text) {
      const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
      return [...new Uint8Array(hash, 0, 12)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    },
    now: () => Date.now(),
    away(tell) {
      const hidden = (): void => tell(true);
      const resumed = (): void => tell(false);
      const shown = (event: PageTransitionEvent): void => {
        if (event.persisted) tell(false);
      };
      // A page that is about to be frozen goes: it may still answer messages then, but its timers rest. Workers are not told.
      const page = (globalThis as { readonly document?: Document }).document;
      page?.addEventListener('freeze', hidden);
      page?.addEventListener('resume', resumed);
      globalThis.addEventListener('pagehide', hidden);
      globalThis.addEventListener('pageshow', shown);
      return () => {
        page?.removeEventListener('freeze', hidden);
        page?.removeEventListener('resume', resumed);
        globalThis.removeEventListener('pagehide', hidden);
        globalThis.removeEventListener('pageshow', shown);
      };
    },
  };
}
