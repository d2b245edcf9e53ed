import type { Reset, Since } from 'moorline';
import { type Scenario, once, take } from './world.js';

const kilobytes = (count: number, fill: string): string => fill.repeat(Math.ceil((count * 1024) / fill.length));

export const reading: Record<string, Scenario> = {
  'begins where it is told': {
    steps: [
      async (world) => {
        const name = world.channel();
        const writer = world.client('alice').channel(name);
        const { epoch } = await writer.publish(1).stored;
        for (let i = 2; i <= 5; i++) await writer.publish(i).stored;
        const bob = world.client('bob');
        const begin = async (since: Since, count: number): Promise<unknown> => {
          const room = world.client('bob').channel(name, { since });
          const messages = await take(count, room.messages());
          return messages.map((message) => message.data);
        };
        const facts = {
          first: await begin('first', 5), last: await begin({ last: 2 }, 2), position: await begin({ epoch, offset: 3 }, 2), time: await begin({ time: 0 }, 1),
        };
        const live = bob.channel(name, { since: 'live' });
        const messages = live.messages();
        await once((handler) => live.on('subscribed', handler));
        await writer.publish(6).stored;
        const [next] = await take(1, messages);
        return { ...facts, live: [next!.data, next!.replayed] };
      },
    ],
    expected: { first: [1, 2, 3, 4, 5], last: [4, 5], position: [4, 5], time: [1], live: [6, false] },
  },
  'goes on at the durable cursor after a reload': {
    steps: [
      async (world) => {
        const name = world.channel();
        const room = world.client('bob', {}, `cursor-${world.id}`).channel(name, { durable: true });
        await once((handler) => room.on('subscribed', handler));
        const acked = once((handler) => room.on('acked', handler));
        room.on('message', () => undefined);
        const writer = world.client('alice').channel(name);
        await writer.publish('a').stored;
        await acked;
        return name;
      },
      async (world, name) => {
        const writer = world.client('alice').channel(name as string);
        await writer.publish('b').stored;
        const room = world.client('bob', {}, `cursor-${world.id}`).channel(name as string, { durable: true });
        const [message] = await take(1, room.messages());
        return [message!.text, message!.replayed];
      },
    ],
    expected: ['b', true],
  },
  'says so when a position is of another log': {
    steps: [
      async (world) => {
        const name = world.channel();
        const writer = world.client('alice').channel(name);
        for (let i = 1; i <= 3; i++) await writer.publish(i).stored;
        const room = world.client('bob').channel(name, { since: { epoch: 'another.1', offset: 2 } });
        const messages = room.messages();
        const [{ reason, head, from }] = await once<[Reset]>((handler) => room.on('reset', handler));
        const [message] = await take(1, messages);
        return { reason, head, from, message: message!.data };
      },
    ],
    expected: { reason: 'epoch', head: 3, from: 0, message: 1 },
  },
  'a slow reader holds the server back, and loses nothing': {
    steps: [
      async (world) => {
        const name = world.channel();
        const bob = world.client('bob', { url: world.places.proxied, compression: false, queue: { messages: 8 } });
        const room = bob.channel(name);
        const messages = room.messages();
        await once((handler) => room.on('subscribed', handler));
        const before = await world.bytesSent();
        const writer = world.client('alice').channel(name);
        const publish = (from: number, to: number): Promise<unknown> =>
          Promise.all(Array.from({ length: to - from }, (_, i) => writer.publish({ i: from + i, fill: kilobytes(8, 'abc') }).stored));
        await publish(0, 40);
        // With the first answer the client has seen them, and asked for a pause; with the second the server knows of that.
        await bob.status(['nobody']);
        await bob.status(['nobody']);
        await publish(40, 300);
        await bob.status(['nobody']);
        const isHeldBack = (await world.bytesSent()) - before < 150 * 8 * 1024;
        const received = await take(300, messages);
        return { isHeldBack, inOrder: received.every((message, i) => (message.data as { i: number }).i === i) };
      },
    ],
    expected: { isHeldBack: true, inOrder: true },
  },
  'what compresses crosses compressed': {
    steps: [
      async (world) => {
        const name = world.channel();
        const payloads = Array.from({ length: 50 }, (_, i) => ({ i, fill: kilobytes(8, `{"user":"alice","text":"hello, number ${i}"},`) }));
        const writer = world.client('alice').channel(name);
        await Promise.all(payloads.map((payload) => writer.publish(payload).stored));
        const facts: unknown[] = [];
        for (const compression of [false, true]) {
          const before = await world.bytesSent();
          const room = world.client('bob', { url: world.places.proxied, compression }).channel(name, { since: 'first' });
          const received = await take(50, room.messages());
          const same = received.every((message, i) => JSON.stringify(message.data) === JSON.stringify(payloads[i]));
          facts.push({ same, isSmall: (await world.bytesSent()) - before < 100 * 1024 });
        }
        return facts;
      },
    ],
    expected: [{ same: true, isSmall: false }, { same: true, isSmall: true }],
  },
  'asks for history in both directions': {
    steps: [
      async (world) => {
        const room = world.client('alice').channel(world.channel());
        for (let i = 1; i <= 5; i++) await room.publish(i).stored;
        const newest = await room.history({ limit: 2 });
        const data = async (query: Parameters<typeof room.history>[0]): Promise<unknown[]> =>
          (await room.history(query)).messages.map((message) => message.data);
        return {
          newest: newest.messages.map((message) => message.data), more: newest.more, first: newest.first, head: newest.head,
          after: await data({ after: 3 }), before: await data({ before: 3 }), since: await data({ after: { time: 0 }, limit: 1 }),
        };
      },
    ],
    expected: { newest: [4, 5], more: true, first: 1, head: 5, after: [4, 5], before: [1, 2], since: [1] },
  },
};
