import type { Engine, Owner, Parts, TokenProvider } from '../driver.js';
import type { Host, Store } from '../host/host.js';
import { memory } from '../store/memory.js';
import { identify } from './identity.js';
import { Tab } from './tab.js';

/** What decides whether a client is shared. */
export interface ShareOptions {
  readonly url: string;
  readonly tabs: boolean | string | undefined;
  readonly token: string | TokenProvider | undefined;
  readonly store: Store | undefined;
  readonly outbox: { readonly messages: number; readonly bytes: number };
}

/** Makes the clients of several tabs one, where the host can; otherwise each tab is for itself. */
export function shareTabs(host: Host, options: ShareOptions): ((parts: Parts, owner: Owner) => Engine) | undefined {
  const env = options.tabs === false ? undefined : host.tabs?.();
  if (!env || (options.store && options.store.shared === undefined)) return undefined;
  const { url, tabs, token, store: given, outbox } = options;
  const user = typeof tabs === 'string' ? tabs : undefined;
  const store = (name: string): Store => given ?? host.store?.(name) ?? memory();
  const bytes = new Uint8Array(12);
  return (parts, owner) => {
    const found = (): ReturnType<typeof identify> => {
      host.random(bytes);
      const tab = [...bytes].map((byte) => byte.toString(36)).join('');
      return identify(env, { url, user, token, store, shared: given?.shared, tab });
    };
    return new Tab({ ...parts, env, identify: found, outbox }, owner);
  };
}
