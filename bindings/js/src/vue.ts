import {
  type App, type InjectionKey, type MaybeRefOrGetter, type ShallowRef, computed, effectScope, getCurrentInstance, inject, markRaw, onActivated, onDeactivated, onMounted,
  shallowReadonly, shallowRef, toValue, watchEffect,
} from 'vue';
import type { Channel, ChannelEvents } from './channel.js';
import type { Client } from './client.js';
import type { ChannelOptions } from './options.js';
import type { Members } from './presence.js';
import { type Source, firstOf } from './source.js';
import type { Connection } from './types.js';
import { type ListOptions, type MessageList, listOf } from './view/list.js';
import { listen, share } from './view/shared.js';

export type { ListOptions, ListedMessage, MessageList } from './view/list.js';

/** A value to be read: in a script by `.value`, in a template as it is. */
export type Followed<T> = Readonly<ShallowRef<T>>;

const injected: InjectionKey<Client> = Symbol();

/** Hands a client to an app: `app.use(moorline, client)`. Whoever made the client closes it: the app never does. */
export function moorline(app: App, client: Client): void {
  app.provide(injected, markRaw(client));
}

/** The client that was handed to the app. Throws where there is none. */
export function useClient(): Client {
  const client = inject(injected, undefined);
  if (!client) throw new Error('app.use(moorline, client) first');
  return client;
}

/** Follows a source, which may change: a receipt's `progress`, for one. */
export function useSource<T>(source: MaybeRefOrGetter<Source<T>>): Followed<T> {
  return follow(() => toValue(source), (from) => from.current, firstOf);
}

/** The connection. */
export function useConnection(): Followed<Connection> {
  return useSource(useClient().connection);
}

/**
 * A handle on a channel, read from when the component is mounted until the last with this name and these options is gone.
 * It is the same handle for all of them. `state` is what this member says at first: `channel.presence.update` changes it.
 */
export function useChannel(name: MaybeRefOrGetter<string>, options?: MaybeRefOrGetter<ChannelOptions | undefined>): Followed<Channel> {
  const client = useClient();
  const shared = computed(() => share(client, toValue(name), toValue(options)));
  return follow(() => shared.value, (from) => from.get());
}

/** The channel's messages: its newest ones, what comes, and what is published through the list. */
export function useMessages(channel: MaybeRefOrGetter<Channel>, options?: ListOptions): Followed<MessageList> {
  const client = useClient();
  return useSource(() => listOf(client, toValue(channel), options));
}

/** Who is in the channel. Needs `presence: 'watch'` or `'join'`. */
export function usePresence(channel: MaybeRefOrGetter<Channel>): Followed<Members> {
  return useSource(() => toValue(channel).presence.source);
}

/** Calls a handler for each event of a channel. */
export function useEvent<Name extends keyof ChannelEvents>(
  channel: MaybeRefOrGetter<Channel>,
  name: Name,
  handler: (...args: ChannelEvents[Name]) => void,
): void {
  whileMounted(() => toValue(channel), (from) => listen(from, name, handler));
}

/** The value of what is followed. Over what a server has rendered it is the first one until it is mounted, as it was there. */
function follow<From extends Pick<Source<unknown>, 'subscribe'>, T>(from: () => From, read: (from: From) => T, first = read): Followed<T> {
  // An element that is there before its component is one to be hydrated.
  const value = shallowRef((getCurrentInstance()?.vnode.el ? first : read)(from())) as ShallowRef<T>;
  whileMounted(from, (source) => {
    const changed = (): void => void (value.value = read(source));
    const off = source.subscribe(changed);
    changed();
    return off;
  });
  return shallowReadonly(value);
}

/**
 * Runs with what is given while the component is mounted and not put aside by `<KeepAlive>` (or at once, outside of one), and
 * again when that changes.
 */
function whileMounted<From>(from: () => From, run: (from: From) => () => void): void {
  const scope = effectScope();
  let stop: (() => void) | undefined;
  const start = (): void => void (stop ??= scope.run(() => watchEffect((onCleanup) => onCleanup(run(from())), { flush: 'sync' })));
  if (!getCurrentInstance()) return start();
  onMounted(start);
  onActivated(start);
  onDeactivated(() => (stop = stop?.() as undefined));
}
