import type { Channel, ChannelEvents } from '../channel.js';
import type { Client } from '../client.js';
import type { ChannelOptions } from '../options.js';

interface Entry {
  readonly channel: Channel;
  users: number;
}

const registry = new WeakMap<Client, Map<string, Entry>>();
const left = new WeakSet<Channel>();

/** The handle that all views of one channel share. */
export interface SharedChannel {
  /** The same handle until the last view has left. Asking for it starts nothing. */
  readonly get: () => Channel;
  /** Begins to read. The last undo leaves, a moment later: a view that comes back at once finds all as it was. */
  readonly subscribe: () => () => void;
}

/** What two views must have in common to share a handle; what a member says about itself is not of it. */
export function keyOf(name: string, options: ChannelOptions | undefined): string {
  return JSON.stringify([name, { ...options, state: undefined }]);
}

/** Shares a channel with all views of this client that ask for it with the same options. */
export function share(client: Client, name: string, options: ChannelOptions | undefined): SharedChannel {
  const key = keyOf(name, options);
  let entries = registry.get(client)!;
  if (!entries) registry.set(client, (entries = new Map<string, Entry>()));
  let own: Channel | undefined;
  const get = (): Channel => {
    const entry = entries.get(key);
    if (entry) return entry.channel;
    if (!own || left.has(own)) own = client.channel(name, options);
    return own;
  };
  const subscribe = (): (() => void) => {
    const before = own;
    const channel = get();
    const entry = entries.get(key) ?? { channel, users: 0 };
    entries.set(key, entry);
    entry.users++;
    // Another view was first: what this one has shown until now is not needed.
    if (before && before !== channel) later(() => leave(before));
    const off = listen(channel, 'subscribed', () => undefined);
    return () => {
      off();
      entry.users--;
      later(() => {
        if (entry.users) return;
        if (entries.get(key) === entry) entries.delete(key);
        leave(channel);
      });
    };
  };
  return { get, subscribe };
}

/** Adds a handler, which begins to read; does nothing once the views have left or the client has ended. Returns its undo. */
export function listen<Name extends keyof ChannelEvents>(
  channel: Channel,
  name: Name,
  handler: (...args: ChannelEvents[Name]) => void,
  ended: (error: unknown) => void = () => undefined,
): () => void {
  if (left.has(channel)) return () => undefined;
  try {
    return channel.on(name, handler);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'request.malformed') throw error;
    ended(error);
    return () => undefined;
  }
}

/** Runs after what runs now: effects that end and begin again have done both by then. */
export function later(run: () => void): void {
  void Promise.resolve().then(run);
}

function leave(channel: Channel): void {
  left.add(channel);
  channel.leave();
}
