'use client';
import { type ReactNode, createContext, createElement, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type { Channel, ChannelEvents } from './channel.js';
import type { Client } from './client.js';
import type { ChannelOptions } from './options.js';
import type { Members } from './presence.js';
import { type Source, firstOf } from './source.js';
import type { Connection } from './types.js';
import { type ListOptions, type MessageList, listOf } from './view/list.js';
import { keyOf, listen, share } from './view/shared.js';

export type { ListOptions, ListedMessage, MessageList } from './view/list.js';

const Context = createContext<Client | undefined>(undefined);

/** Hands a client to all below. Whoever made the client closes it: this component never does. */
export function MoorlineProvider(props: { readonly client: Client; readonly children?: ReactNode }): ReactNode {
  return createElement(Context.Provider, { value: props.client }, props.children);
}

/** The client of the nearest provider. Throws where there is none. */
export function useClient(): Client {
  const client = useContext(Context);
  if (!client) throw new Error('no client: put a <MoorlineProvider> around this component');
  return client;
}

/** Follows a source: a receipt's `progress`, for one. `server` is what is shown while rendering on a server, and first after it. */
export function useSource<T>(source: Source<T>, server: T = firstOf(source)): T {
  return useSyncExternalStore(source.subscribe, () => source.current, () => server);
}

/** The connection. */
export function useConnection(): Connection {
  return useSource(useClient().connection);
}

/**
 * A handle on a channel, read from when this component is there until the last with this name and these options is gone.
 * It is the same handle for all of them. `state` is what this member says at first: `channel.presence.update` changes it.
 */
export function useChannel(name: string, options?: ChannelOptions): Channel {
  const client = useClient();
  const key = keyOf(name, options);
  const shared = useMemo(() => share(client, name, options), [client, key]);
  return useSyncExternalStore(shared.subscribe, shared.get, shared.get);
}

/** The channel's messages: its newest ones, what comes, and what is published through the list. */
export function useMessages(channel: Channel, options?: ListOptions): MessageList {
  return useSource(listOf(useClient(), channel, options));
}

/** Who is in the channel. Needs `presence: 'watch'` or `'join'`. */
export function usePresence(channel: Channel): Members {
  return useSource(channel.presence.source);
}

/** Calls the newest handler for each event of a channel. */
export function useEvent<Name extends keyof ChannelEvents>(channel: Channel, name: Name, handler: (...args: ChannelEvents[Name]) => void): void {
  const newest = useRef(handler);
  useEffect(() => void (newest.current = handler));
  useEffect(() => listen(channel, name, (...args) => newest.current(...args)), [channel, name]);
}
