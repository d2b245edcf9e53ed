import { Client } from '../../src/client.js';
import * as inlined from '../../src/core/core.gen.js';
import { instantiateInline } from '../../src/core/inline.js';
import { once as loadOnce } from '../../src/core/wasm.js';
import type { Host } from '../../src/host/host.js';
import type { Channel, ClientOptions } from '../../src/index.js';
import { shareTabs } from '../../src/tabs/share.js';
import type { FakeTab } from './fakes.js';

export const load = loadOnce(() => instantiateInline(inlined));

/** A host whose sockets do not open. */
export function offline(host: Host): Host {
  const open: Host['open'] = (_, events) => {
    void Promise.resolve().then(() => events.closed());
    return { send: () => undefined, buffered: undefined, close: () => undefined };
  };
  return { ...host, open };
}

/** A client of alice's in a tab, one of several. */
export function join(tab: FakeTab, url: string, options: Partial<ClientOptions> = {}): Client {
  const host = options.host ?? tab.host();
  return new Client({ url, token: 'dev:alice', tabs: shareTabs(), ...options, host }, { load, host: () => host });
}

export const subscribed = (room: Channel): Promise<unknown> => new Promise((resolve) => void room.on('subscribed', resolve));
