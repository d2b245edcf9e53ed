import { afterEach, describe, expect, test } from 'vitest';
import { type Channel, type ChannelOptions, type Client, type Source, createClient } from '../src/index.js';
import { type TestHost, type TestServer, createTestServer } from '../src/testing/index.js';
import { type ListOptions, type MessageList, listOf } from '../src/view/list.js';

let server: TestServer;
afterEach(() => server.stop());

interface Scene {
  readonly client: Client;
  readonly host: TestHost;
  readonly channel: Channel;
  readonly list: Source<MessageList>;
}

/** A list of a room with so many messages, in virtual time. */
async function scene(count: number, list: ListOptions = {}, options: ChannelOptions = {}, queue?: number): Promise<Scene> {
  server = await createTestServer();
  for (let i = 0; i < count; i++) server.publish('room', i);
  const host = server.host();
  const client = createClient({ url: server.url, token: 'dev:alice', host, ...(queue ? { queue: { messages: queue } } : {}) });
  const channel = client.channel('room', options);
  return { client, host, channel, list: listOf(client, channel, list) };
}

const many = (count: number): void => {
  for (let i = 0; i < count; i++) server.publish('room', i);
};
const offsets = ({ current }: Source<MessageList>): number[] => current.messages.map(({ offset }) => offset!);
const span = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

describe('a list', () => {
  test('has no hole where a message came before the newest page', async () => {
    const { host, list, channel } = await scene(10, {}, { qos: 0 });
    list.subscribe(() => undefined);
    await server.settle();
    expect(offsets(list)).toEqual(span(1, 10));
    host.offline();
    await server.settle();
    many(90);
    channel.on('subscribed', () => server.publish('room', 'right after'));
    host.heal();
    host.delay(20);
    await server.advance(20_000);
    // What is not on the page is not hidden between what is listed: it can be asked for.
    expect(offsets(list)).toEqual(span(52, 101));
    expect(list.current.hasOlder).toBe(true);
  });

  test('has no hole where messages were given up', async () => {
    const { client, list, channel } = await scene(10, { page: 20 }, {}, 16);
    channel.on('subscribed', () => undefined);
    const off = list.subscribe(() => undefined);
    await server.settle();
    off();
    // Another part of the app reads on, so that nobody waits for this one.
    client.channel('room').on('message', () => undefined);
    await server.settle();
    many(100);
    await server.settle();
    list.subscribe(() => undefined);
    await server.settle();
    expect(offsets(list)).toEqual(span(91, 110));
    expect(list.current.hasOlder).toBe(true);
  });

  test('has no hole where what waited goes on behind what was given up', async () => {
    const { client, list, channel } = await scene(3, { page: 2 }, {}, 4);
    channel.on('subscribed', () => undefined);
    const off = list.subscribe(() => undefined);
    await server.settle();
    const older = list.current.loadOlder();
    await server.settle();
    await older;
    expect(offsets(list)).toEqual(span(1, 3));
    off();
    client.channel('room').on('message', () => undefined);
    await server.settle();
    many(17);
    await server.settle();
    list.subscribe(() => undefined);
    await server.settle();
    expect(offsets(list)).toEqual(span(19, 20));
    expect(list.current.hasOlder).toBe(true);
  });

  test('gets older pages although messages come all the time', async () => {
    const { host, list } = await scene(300, { keep: 60, page: 50 });
    list.subscribe(() => undefined);
    await server.settle();
    many(20);
    await server.settle();
    expect(offsets(list)).toEqual(span(261, 320));
    host.delay(50);
    for (let n = 0; n < 5; n++) {
      const page = list.current.loadOlder();
      await server.advance(20);
      server.publish('room', 'meanwhile');
      await server.advance(200);
      await page;
    }
    expect(offsets(list)).toEqual(span(11, 325));
  });

  test('takes nothing away above while somebody reads there, within bounds', async () => {
    const { list } = await scene(300, { keep: 20, page: 50 });
    list.subscribe(() => undefined);
    await server.settle();
    const page = list.current.loadOlder();
    await server.settle();
    await page;
    const [first] = offsets(list);
    many(150);
    await server.settle();
    expect(offsets(list)).toEqual(span(first!, 450));
    many(500);
    await server.settle();
    expect(list.current.messages.length).toBeLessThanOrEqual(20 + 50 + 200);
    list.current.trim();
    await server.settle();
    expect(offsets(list)).toEqual(span(931, 950));
  });

  test('forgets why a page did not come once one does', async () => {
    const { list, channel } = await scene(100, { page: 20 });
    list.subscribe(() => undefined);
    await server.settle();
    const { history } = channel;
    channel.history = () => Promise.reject(new Error('once'));
    await list.current.loadOlder();
    await server.settle();
    expect(list.current.error).toMatchObject({ message: 'once' });
    channel.history = history;
    const page = list.current.loadOlder();
    await server.settle();
    await page;
    expect([offsets(list)[0], list.current.error]).toEqual([61, undefined]);
  });

  test('lists a message once that is published again, also where that is refused', async () => {
    const { list, channel, host } = await scene(0);
    list.subscribe(() => undefined);
    await server.settle();
    host.offline();
    const { id } = list.current.publish('x');
    await server.settle();
    const { publish } = channel;
    channel.publish = () => {
      throw new Error('no room');
    };
    expect(() => list.current.publish('x', { id })).toThrow('no room');
    await server.settle();
    expect(list.current.messages.map(({ text }) => text)).toEqual(['x']);
    channel.publish = publish;
    list.current.publish('x', { id });
    await server.settle();
    expect(list.current.messages.map(({ text }) => text)).toEqual(['x']);
  });
});
