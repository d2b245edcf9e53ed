import type { Engine, Owner, Parts, TokenProvider } from '../engine.js';
import type { Host, Store } from '../host/host.js';
import { webTabs } from '../host/tabs.js';
import { memory } from '../store/memory.js';
import { unshared } from './alone.js';
import { identify } from './identity.js';
import { Tab } from './tab.js';

/** What decides whether a client is shared. */
export interface ShareOptions {
  readonly url: string;
  readonly token: string | TokenProvider | undefined;
  readonly store: Store | undefined;
  readonly outbox: { readonly messages: number; readonly bytes: number };
}

/** Makes a client one of several tabs', where the host can. */
export type TabSharing = (host: Host, options: ShareOptions) => ((parts: Parts, owner: Owner) => Engine) | undefined;

/**
 * Makes the clients of several tabs one: `createClient({ url, token, tabs: shareTabs() })`. A name of the user, if given,
 * saves asking for a token to know who that is, and is needed where tokens do not say it. Where the browser lacks Web Locks,
 * BroadcastChannel or IndexedDB, each tab is for itself.
 */
export function shareTabs(user?: string): TabSharing {
  return (host, { url, token, store: given, outbox }) => {
    const env = (host.tabs ?? webTabs)();
    if (!env || (given && !given.of)) return undefined;
    const store = (name: string): Store => given?.of?.(name) ?? host.store?.(name) ?? memory();
    const bytes = new Uint8Array(12);
    return (parts, owner) => {
      const found = (): ReturnType<typeof identify> => {
        host.random(bytes);
        const tab = [...bytes].map((byte) => byte.toString(36)).join('');
        const own = (): Store => unshared(parts.store);
        return identify(env, { url, user, token, store, own, shared: given?.shared, tab, report: (error) => host.report(error) });
      };
      return new Tab({ ...parts, env, identify: found, outbox }, owner);
    };
  };
}
