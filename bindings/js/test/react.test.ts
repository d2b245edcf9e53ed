import './kit/dom.js';
import { StrictMode, createElement as h, useState } from 'react';
import { type Root, createRoot, hydrateRoot } from 'react-dom/client';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { renderToString } from 'react-dom/server';
import { type Channel, type ChannelOptions, type Client, type Connection, type Members, type Message, type StoreBatch, memory } from '../src/index.js';
import { type MessageList, MoorlineProvider, useChannel, useClient, useConnection, useEvent, useMessages, usePresence } from '../src/react.js';
import { fresh, kit, once } from './kit/kit.js';

const tools = kit();
const { client } = tools;
let root: Root | undefined;

afterEach(() => {
  root?.unmount();
  root = undefined;
});

/** Mounts a component below a provider; returns where it is. */
function mount(of: Client, component: () => unknown, strict = false): HTMLElement {
  const at = document.createElement('div');
  root = createRoot(at);
  const tree = h(MoorlineProvider, { client: of }, h(component as () => null));
  root.render(strict ? h(StrictMode, null, tree) : tree);
  return at;
}

/** What a room shows, newest last; told of each render. */
class Seen {
  list!: MessageList;
  channel!: Channel;
  members: Members | undefined;
  renders = 0;
  readonly channels = new Set<Channel>();
  private waiting: { check: (seen: Seen) => boolean; resolve: () => void }[] = [];

  /** Resolves with the first render for which this holds. */
  until(check: (seen: Seen) => boolean): Promise<void> {
    if (this.renders > 0 && check(this)) return Promise.resolve();
    return new Promise((resolve) => void this.waiting.push({ check, resolve }));
  }

  rendered(channel: Channel, list: MessageList, members?: Members): void {
    Object.assign(this, { channel, list, members });
    this.renders++;
    this.channels.add(channel);
    const ready = this.waiting.filter(({ check }) => check(this));
    this.waiting = this.waiting.filter((waiter) => !ready.includes(waiter));
    for (const { resolve } of ready) resolve();
  }

  get texts(): unknown[] {
    return this.list.messages.map(({ text }) => text);
  }
}

function room(seen: Seen, name: string, options?: ChannelOptions, keep?: { keep?: number; page?: number }): () => unknown {
  return function Room() {
    const channel = useChannel(name, options);
    const list = useMessages(channel, keep);
    seen.rendered(channel, list, usePresence(channel));
    return list.messages.map((message) => h('p', { key: message.key }, message.text));
  };
}

/** Publishes so many texts, and waits until they are stored. */
async function fill(of: Client, name: string, count: number, from = 1): Promise<void> {
  const channel = of.channel(name);
  await Promise.all(Array.from({ length: count }, (_, at) => channel.publish(`${from + at}`).stored));
}

/** Calls of a method of a handle, counted on its class. */
function spyOn(of: Client, method: 'leave') {
  return vi.spyOn(Object.getPrototypeOf(of.channel('room:spy')) as Channel, method);
}

describe('messages', () => {
  test('history, what comes, and own messages are one list without a double', async () => {
    const [alice, bob, name, seen] = [client('alice'), client('bob'), fresh(), new Seen()];
    await fill(bob, name, 3);
    const at = mount(alice, room(seen, name));
    await seen.until(({ list }) => list.messages.length === 3);
    expect(seen.texts).toEqual(['1', '2', '3']);
    await fill(bob, name, 2, 4);
    await seen.until(({ list }) => list.messages.length === 5);
    const states: string[] = [];
    const receipt = seen.list.publish('mine');
    const stop = receipt.progress.subscribe(() => states.push(receipt.state));
    const { offset } = await receipt.stored;
    await seen.until(({ list }) => list.messages.at(-1)?.state === 'stored');
    stop();
    expect(states.at(-1)).toBe('stored');
    expect(seen.texts).toEqual(['1', '2', '3', '4', '5', 'mine']);
    expect(seen.list.messages.at(-1)).toMatchObject({ key: receipt.id, offset, receipt, user: 'alice' });
    await fill(bob, name, 1, 6);
    await seen.until(({ list }) => list.messages.length === 7);
    expect(seen.list.messages.map((message) => message.offset)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(at.textContent).toBe('12345mine6');
  });

  test('an own message is listed while there is no connection, keeps its key, and goes out with the connection', async () => {
    const [alice, name, seen] = [client('alice'), fresh(), new Seen()];
    mount(alice, room(seen, name));
    await seen.until(({ list }) => !list.isLoading);
    alice.disconnect();
    const receipt = seen.list.publish('later');
    await seen.until(({ list }) => list.messages.length === 1);
    const [waiting] = seen.list.messages;
    expect(waiting).toMatchObject({ state: 'queued', text: 'later', key: receipt.id });
    expect(waiting).not.toHaveProperty('offset');
    await alice.connect();
    await seen.until(({ list }) => list.messages[0]?.state === 'stored');
    expect(seen.list.messages).toHaveLength(1);
    expect(seen.list.messages[0]!.key).toBe(waiting!.key);
  });

  test('a message that failed stays with why, and can be discarded and sent again with its id', async () => {
    let isFull = false;
    const kept = memory();
    const full = { ...kept, commit: (batch: StoreBatch) => (isFull ? Promise.reject(Object.assign(new Error('no room'), { name: 'QuotaExceededError' })) : kept.commit(batch)) };
    const [alice, name, seen] = [client('alice', { store: full }), fresh(), new Seen()];
    mount(alice, room(seen, name));
    await seen.until(({ list }) => !list.isLoading);
    alice.disconnect();
    isFull = true;
    const receipt = seen.list.publish('x');
    await seen.until(({ list }) => list.messages[0]?.state === 'failed');
    expect(seen.list.messages[0]!.receipt!.error).toMatchObject({ code: 'storage.full' });
    isFull = false;
    seen.list.discard(seen.list.messages[0]!);
    seen.list.publish('x', { id: receipt.id });
    await alice.connect();
    await seen.until(({ list }) => list.messages[0]?.state === 'stored');
    expect(seen.list.messages).toHaveLength(1);
    expect(seen.list.messages[0]!.id).toBe(receipt.id);
  });

  test('a channel that may not be read says why', async () => {
    const [alice, seen] = [client('alice'), new Seen()];
    mount(alice, room(seen, '@bob'));
    await seen.until(({ list }) => list.error !== undefined);
    expect(seen.list.error).toMatchObject({ code: 'channel.denied' });
  });

  test('what cannot be published throws, and is not listed', async () => {
    const [alice, name, seen] = [client('alice'), fresh(), new Seen()];
    mount(alice, room(seen, name));
    await seen.until(({ list }) => !list.isLoading);
    expect(() => seen.list.publish('x'.repeat(70_000))).toThrow(expect.objectContaining({ code: 'limit.message' }));
    expect(seen.list.messages).toEqual([]);
  });

  test('a message at QoS 0 is an event, not listed', async () => {
    const [alice, bob, name, seen] = [client('alice'), client('bob'), fresh(), new Seen()];
    const events: Message[] = [];
    let told!: () => void;
    const both = new Promise<void>((resolve) => void (told = resolve));
    const Room = room(seen, name);
    mount(alice, function Both() {
      Room();
      useEvent(seen.channel, 'message', (message) => {
        events.push(message);
        if (events.length === 2) told();
      });
      return null;
    });
    await seen.until(({ list }) => !list.isLoading);
    await bob.connect();
    const to = bob.channel(name);
    to.publish({ typing: true }, { qos: 0 });
    await to.publish('kept').stored;
    await both;
    await seen.until(({ list }) => list.messages.length === 1);
    expect(events.map(({ data, text }) => data ?? text)).toEqual(expect.arrayContaining([{ typing: true }, 'kept']));
    expect(seen.texts).toEqual(['kept']);
    const own = seen.list.publish('gone', { qos: 0 });
    await own.stored.catch(() => undefined);
    await fill(bob, name, 1);
    await seen.until(({ list }) => list.messages.length === 2);
    expect(seen.texts).toEqual(['kept', '1']);
  });

  test('scrolling back lists page after page, beyond what is kept, until the list is trimmed', async () => {
    const [alice, bob, name, seen] = [client('alice'), client('bob'), fresh(), new Seen()];
    await fill(bob, name, 25);
    mount(alice, room(seen, name, undefined, { keep: 10, page: 10 }));
    await seen.until(({ list }) => list.messages.length === 10);
    expect(seen.list.hasOlder).toBe(true);
    await Promise.all([seen.list.loadOlder(), seen.list.loadOlder()]);
    await seen.until(({ list }) => list.messages.length === 20);
    await seen.list.loadOlder();
    await seen.until(({ list }) => list.messages.length === 25 && !list.isLoading);
    expect(seen.texts).toEqual(Array.from({ length: 25 }, (_, at) => `${at + 1}`));
    expect(seen.list.hasOlder).toBe(false);
    await seen.list.loadOlder();
    seen.list.trim();
    await seen.until(({ list }) => list.messages.length === 10);
    expect(seen.list.hasOlder).toBe(true);
    expect(seen.texts[0]).toBe('16');
  });

  test('what comes while it is shown does not grow the list beyond what is kept', async () => {
    const [alice, bob, name, seen] = [client('alice'), client('bob'), fresh(), new Seen()];
    mount(alice, room(seen, name, undefined, { keep: 20, page: 10 }));
    await seen.until(({ list }) => !list.isLoading);
    await fill(bob, name, 300);
    await seen.until(({ texts }) => texts.at(-1) === '300');
    expect(seen.list.messages).toHaveLength(20);
    expect(seen.list.hasOlder).toBe(true);
    expect(seen.renders, 'a burst is shown at once, not one by one').toBeLessThan(150);
  });

  test('what was missed while nobody looked is there without a hole', async () => {
    const [alice, bob, name, seen] = [client('alice'), client('bob'), fresh(), new Seen()];
    await fill(bob, name, 5);
    // Another part of the page reads the same handle on.
    let show!: (on: boolean) => void;
    const Room = room(seen, name, undefined, { page: 5 });
    mount(alice, function Page() {
      const [on, set] = useState(true);
      show = set;
      useChannel(name);
      return on ? h(Room as () => null) : null;
    });
    await seen.until(({ list }) => list.messages.length === 5);
    show(false);
    await fill(bob, name, 12, 6);
    show(true);
    await seen.until(({ texts }) => texts.at(-1) === '17');
    expect(seen.texts).toEqual(Array.from({ length: 17 }, (_, i) => String(i + 1)));
  });

  test('a log that begins anew is told, and what was listed goes', async () => {
    const [alice, bob, name, seen] = [client('alice'), client('bob'), fresh(), new Seen()];
    await fill(bob, name, 2);
    mount(alice, room(seen, name));
    await seen.until(({ list }) => list.messages.length === 2);
    await tools.server.wipe();
    await seen.until(({ list }) => list.reset !== undefined && !list.isLoading);
    expect(seen.list.reset).toMatchObject({ reason: 'epoch' });
    expect(seen.texts).toEqual([]);
    await fill(bob, name, 1, 7);
    await seen.until(({ list }) => list.messages.length === 1);
    expect(seen.texts).toEqual(['7']);
  });
});

describe('a mount', () => {
  test('twice in StrictMode neither leaves nor joins again', async () => {
    const [alice, bob, name, seen] = [client('alice'), client('bob'), fresh(), new Seen()];
    const changes: string[] = [];
    const watch = bob.channel(name, { presence: 'watch' });
    await once((handler) => watch.on('subscribed', handler));
    const joined = new Promise<void>((resolve) => {
      watch.presence.on('change', (all) => {
        for (const { event, user } of all) changes.push(`${user} ${event}`);
        if (changes.includes('alice join')) resolve();
      });
    });
    const leave = spyOn(alice, 'leave');
    mount(alice, room(seen, name, { presence: 'join' }), true);
    await joined;
    await seen.until(({ members }) => members?.list?.some(({ user }) => user === 'alice') === true);
    expect(leave).not.toHaveBeenCalled();
    expect(changes).toEqual(['alice join']);
    expect(seen.channels.size).toBeLessThanOrEqual(2);
    leave.mockRestore();
  });

  test('of two components shares one handle, which the last one leaves', async () => {
    const [alice, name] = [client('alice'), fresh()];
    const [one, two] = [new Seen(), new Seen()];
    const [One, Two] = [room(one, name), room(two, name)];
    mount(alice, () => [h(One as () => null, { key: 1 }), h(Two as () => null, { key: 2 })]);
    await one.until(({ list }) => !list.isLoading);
    await two.until(() => one.channel === two.channel);
    one.list.publish('shared');
    await two.until(({ list }) => list.messages.length === 1);
    const leave = spyOn(alice, 'leave');
    root!.unmount();
    await Promise.resolve();
    await vi.waitFor(() => expect(leave).toHaveBeenCalled());
    expect(() => one.channel.on('message', () => undefined)).toThrow(/has left/);
    leave.mockRestore();
  });

  test('that ends during the connect leaves nothing behind', async () => {
    const [alice, name, seen] = [client('alice'), fresh(), new Seen()];
    const gone = new Promise<void>((resolve) => {
      alice.connection.subscribe(() => {
        if (alice.state === 'connecting') resolve(root!.unmount());
      });
    });
    mount(alice, room(seen, name, { presence: 'join' }));
    await gone;
    await alice.connect();
    const { members } = await alice.channel(name).presence.page();
    expect(members).toEqual([]);
    expect(handlersOf(seen.channel)).toBe(0);
  });

  test('leaves no handler when it ends, however often', async () => {
    const [alice, name, seen] = [client('alice'), fresh(), new Seen()];
    const keep = alice.channel(name);
    await once((handler) => keep.on('subscribed', handler));
    for (let round = 0; round < 5; round++) {
      mount(alice, room(seen, name));
      await seen.until(({ list }) => !list.isLoading);
      const { channel } = seen;
      root!.unmount();
      await vi.waitFor(() => expect(handlersOf(channel)).toBe(0));
    }
    expect(listeners(alice)).toBe(0);
  });

  test('of a part of the page takes its handlers along, while the channel is read on', async () => {
    const [alice, name, seen] = [client('alice'), fresh(), new Seen()];
    const Room = room(seen, name);
    let show!: (on: boolean) => void;
    const Part = ({ channel }: { channel: Channel }): null => {
      useEvent(channel, 'message', () => undefined);
      return null;
    };
    mount(alice, function Page() {
      const [on, set] = useState(false);
      show = set;
      Room();
      return on ? h(Part, { channel: seen.channel }) : null;
    });
    await seen.until(({ list }) => !list.isLoading);
    const before = handlersOf(seen.channel);
    show(true);
    await vi.waitFor(() => expect(handlersOf(seen.channel)).toBe(before + 1));
    show(false);
    await vi.waitFor(() => expect(handlersOf(seen.channel)).toBe(before));
  });

  test('of another name leaves the first', async () => {
    const [alice, bob, seen] = [client('alice'), client('bob'), new Seen()];
    const [first, second] = [fresh(), fresh()];
    await fill(bob, second, 1);
    let go!: (name: string) => void;
    mount(alice, function Page() {
      const [name, set] = useState(first);
      go = set;
      const channel = useChannel(name);
      seen.rendered(channel, useMessages(channel));
      return null;
    });
    await seen.until(({ list }) => !list.isLoading);
    const before = seen.channel;
    go(second);
    await seen.until(({ list }) => list.messages.length === 1);
    expect(seen.channel.name).toBe(second);
    expect(() => before.on('message', () => undefined)).toThrow(/has left/);
  });

  test('with a client that is closed says so, and breaks nothing', async () => {
    const [alice, name, seen] = [client('alice'), fresh(), new Seen()];
    await alice.close();
    mount(alice, room(seen, name));
    await seen.until(({ list }) => list.error !== undefined);
    expect(seen.list.error).toMatchObject({ code: 'client.closed' });
    await expect(alice.connect()).rejects.toMatchObject({ code: 'client.closed' });
  });

  test('without a provider says what to do', () => {
    expect(() => renderToString(h(() => (useClient(), null)))).toThrow(/MoorlineProvider/);
  });
});

test('the connection is followed', async () => {
  const alice = client('alice');
  const states: string[] = [];
  let online!: () => void;
  const ready = new Promise<void>((resolve) => void (online = resolve));
  mount(alice, () => {
    const connection: Connection = useConnection();
    states.push(connection.state);
    if (connection.state === 'online') online();
    return null;
  });
  await vi.waitFor(() => expect(states).toEqual(['idle']));
  await alice.connect();
  await ready;
  expect(states.at(-1)).toBe('online');
});

test('a page of a server hydrates as it was, then goes on', async () => {
  const [alice, bob, name, seen, late] = [client('alice'), client('bob'), fresh(), new Seen(), new Seen()];
  await fill(bob, name, 1);
  const tree = (of: Client, by: Seen) => h(MoorlineProvider, { client: of }, h(room(by, name) as () => null));
  const at = document.createElement('div');
  const server = client('server');
  at.innerHTML = renderToString(tree(server, new Seen()));
  expect(server.state, 'rendering on a server connects nothing').toBe('idle');
  // Another part of the page is further already.
  mount(alice, room(seen, name));
  await seen.until(({ list }) => list.messages.length === 1);
  const mismatches: unknown[] = [];
  const hydrated = hydrateRoot(at, tree(alice, late), { onRecoverableError: (error) => mismatches.push(error) });
  await late.until(({ list }) => list.messages.length === 1);
  expect(mismatches).toEqual([]);
  hydrated.unmount();
});

/** Handlers that are left on a handle. */
function handlersOf(channel: Channel): number {
  const { handlers } = (channel as unknown as { events: { handlers: Map<string, readonly unknown[]> } }).events;
  return [...handlers.values()].reduce((sum, list) => sum + list.length, 0);
}

/** Listeners that are left on a client's connection. */
function listeners(of: Client): number {
  return (of.connection as unknown as { listeners: Set<unknown> }).listeners.size;
}
