import './kit/dom.js';
import { renderToString } from '@vue/server-renderer';
import { type App, KeepAlive, createApp, createSSRApp, defineComponent, h, nextTick, ref, shallowRef } from 'vue';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Channel, type Client, type Message, memory } from '../src/index.js';
import { type Followed, type MessageList, moorline, useChannel, useClient, useConnection, useEvent, useMessages, usePresence } from '../src/vue.js';
import { fresh, kit, once } from './kit/kit.js';

const { client } = kit();
let app: App | undefined;

afterEach(() => {
  app?.unmount();
  app = undefined;
});

/** Mounts a component that has only a setup. */
function mount<T>(of: Client, setup: () => T): T {
  let made!: T;
  app = createApp({
    setup() {
      made = setup();
      return () => null;
    },
  });
  app.use(moorline, of).mount(document.createElement('div') as unknown as Element);
  return made;
}

interface Room {
  readonly channel: Followed<Channel>;
  readonly list: Followed<MessageList>;
}

function room(name: string | Followed<string>, presence: 'none' | 'join' = 'none'): Room {
  const channel = useChannel(name, { presence });
  return { channel, list: useMessages(channel) };
}

const texts = (list: Followed<MessageList>): unknown[] => list.value.messages.map(({ text }) => text);
const shown = (list: Followed<MessageList>, count: number): Promise<void> => vi.waitFor(() => expect(list.value.messages).toHaveLength(count));
const handlersOf = (channel: Channel): number => {
  const { handlers } = (channel as unknown as { events: { handlers: Map<string, readonly unknown[]> } }).events;
  return [...handlers.values()].reduce((sum, list) => sum + list.length, 0);
};

test('history, what comes, and own messages are one list', async () => {
  const [alice, bob, name] = [client('alice'), client('bob'), fresh()];
  await bob.channel(name).publish('1').stored;
  const { list } = mount(alice, () => room(name));
  expect(list.value.isLoading).toBe(true);
  await shown(list, 1);
  const receipt = list.value.publish('mine');
  await shown(list, 2);
  await receipt.stored;
  await bob.channel(name).publish('2').stored;
  await shown(list, 3);
  expect(texts(list)).toEqual(['1', 'mine', '2']);
  expect(list.value.messages[1]).toMatchObject({ key: receipt.id, state: 'stored' });
});

test('who is here, and the connection, are followed', async () => {
  const [alice, name] = [client('alice'), fresh()];
  const { members, connection } = mount(alice, () => {
    const { channel } = room(name, 'join');
    return { members: usePresence(channel), connection: useConnection() };
  });
  await vi.waitFor(() => expect(members.value.list?.map(({ user }) => user)).toEqual(['alice']));
  expect(connection.value.state).toBe('online');
});

test('an event is told until the component goes', async () => {
  const [alice, bob, name] = [client('alice'), client('bob'), fresh()];
  const seen: Message[] = [];
  const { channel } = mount(alice, () => {
    const made = room(name);
    useEvent(made.channel, 'message', (message) => seen.push(message));
    return made;
  });
  await vi.waitFor(() => expect(alice.state).toBe('online'));
  await bob.channel(name).publish('1').stored;
  await vi.waitFor(() => expect(seen).toHaveLength(1));
  app!.unmount();
  app = undefined;
  await vi.waitFor(() => expect(handlersOf(channel.value)).toBe(0));
});

describe('a channel', () => {
  test('of another name replaces the first, which is left', async () => {
    const [alice, bob, first, second] = [client('alice'), client('bob'), fresh(), fresh()];
    await bob.channel(second).publish('there').stored;
    const name = ref(first);
    const { channel, list } = mount(alice, () => room(name));
    const before = channel.value;
    await vi.waitFor(() => expect(list.value.isLoading).toBe(false));
    name.value = second;
    expect(channel.value.name).toBe(second);
    await shown(list, 1);
    await vi.waitFor(() => expect(handlersOf(before)).toBe(0));
    expect(() => before.on('message', () => undefined)).toThrow(/has left/);
  });

  test('is shared by two components, and stays when one goes', async () => {
    const [alice, name, both] = [client('alice'), fresh(), shallowRef(true)];
    const rooms: Room[] = [];
    const Room = { setup: () => (rooms.push(room(name)), () => null) };
    app = createApp({ setup: () => () => [h(Room), both.value ? h(Room) : null] });
    app.use(moorline, alice).mount(document.createElement('div') as unknown as Element);
    expect(rooms[0]!.channel.value).toBe(rooms[1]!.channel.value);
    await vi.waitFor(() => expect(rooms[0]!.list.value.isLoading).toBe(false));
    both.value = false;
    await nextTick();
    await rooms[0]!.list.value.publish('still').stored;
    await shown(rooms[0]!.list, 1);
    expect(rooms[1]!.list.value.messages).toHaveLength(0);
  });

  test('of a component that goes during the connect is not joined', async () => {
    const [alice, name] = [client('alice'), fresh()];
    mount(alice, () => room(name, 'join'));
    const off = once((handler: () => void) => alice.connection.subscribe(handler));
    await off;
    expect(alice.state).toBe('connecting');
    app!.unmount();
    app = undefined;
    await alice.connect();
    expect((await alice.channel(name).presence.page()).members).toEqual([]);
  });
});

test('a server renders the beginning, and starts nothing', async () => {
  const [store, loads] = [memory(), vi.fn()];
  const alice = client('alice', { store: { ...store, load: () => (loads(), store.load()) } });
  const page = createSSRApp({
    setup() {
      const { list } = room('room:1');
      const connection = useConnection();
      return () => h('p', `${connection.value.state} ${list.value.messages.length}`);
    },
  });
  page.use(moorline, alice);
  expect(await renderToString(page)).toBe('<p>idle 0</p>');
  expect(alice.state).toBe('idle');
  // A client that is used reads its store before anything else.
  await new Promise(setImmediate);
  expect(loads).not.toHaveBeenCalled();
});

test('without a client says what to do', () => {
  const bare = createApp({ setup: () => (useClient(), () => null) });
  bare.config.warnHandler = () => undefined;
  expect(() => bare.mount(document.createElement('div') as unknown as Element)).toThrow(/app\.use\(moorline, client\)/);
});

test('what a server has rendered is taken over by a client that is online already', async () => {
  const [alice, name] = [client('alice'), fresh()];
  const warnings: unknown[] = [];
  const warn = vi.spyOn(console, 'warn').mockImplementation((...said) => void warnings.push(said));
  const error = vi.spyOn(console, 'error').mockImplementation((...said) => void warnings.push(said));
  const Root = {
    setup() {
      const connection = useConnection();
      const { list } = room(name);
      return () => h('p', `${connection.value.state} ${list.value.isLoading}`);
    },
  };
  const html = await renderToString(createSSRApp(Root).use(moorline, client('server')));
  await alice.connect();
  const box = document.createElement('div');
  box.innerHTML = html;
  app = createSSRApp(Root);
  app.use(moorline, alice).mount(box as unknown as Element);
  await vi.waitFor(() => expect(box.textContent).toBe('online false'));
  warn.mockRestore();
  error.mockRestore();
  expect(warnings).toEqual([]);
});

test('a room that <KeepAlive> puts aside is left, and read again when it comes back', async () => {
  const [alice, name] = [client('alice'), fresh()];
  const watcher = client('bob').channel(name, { presence: 'watch' });
  const seen: string[] = [];
  watcher.presence.on('change', (changes) => void seen.push(...changes.map(({ event, user }) => `${event} ${user}`)));
  await once((handler) => watcher.on('subscribed', handler));
  const Room = defineComponent({ name: 'Room', setup: () => (room(name, 'join'), () => h('p', 'room')) });
  const Other = defineComponent({ name: 'Other', setup: () => () => h('p', 'other') });
  const isShown = ref(true);
  app = createApp({ setup: () => () => h(KeepAlive, null, { default: () => h(isShown.value ? Room : Other) }) });
  app.use(moorline, alice).mount(document.createElement('div') as unknown as Element);
  await vi.waitFor(() => expect(seen).toEqual(['join alice']));
  isShown.value = false;
  await vi.waitFor(() => expect(seen).toEqual(['join alice', 'leave alice']));
  isShown.value = true;
  await vi.waitFor(() => expect(seen).toEqual(['join alice', 'leave alice', 'join alice']));
});
