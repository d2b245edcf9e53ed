import { describe, expect, test, vi } from 'vitest';
import { type Message, type Since, memory } from '../src/index.js';
import { fresh, kit, once, take } from './kit/kit.js';

const here = kit();
const { client } = here;

describe('reading', () => {
  test('begins where it is told', async () => {
    const name = fresh();
    const writer = client('alice').channel(name);
    const { epoch } = await writer.publish(1).stored;
    for (let i = 2; i <= 5; i++) await writer.publish(i).stored;
    const begin = async (since: Since, count: number): Promise<unknown[]> => {
      const bob = client(`bob-${JSON.stringify(since)}`);
      const room = bob.channel(name, { since });
      const messages = await take(count, room.messages());
      return messages.map((message) => [message.data, message.replayed]);
    };
    expect(await begin('first', 5)).toEqual([1, 2, 3, 4, 5].map((data) => [data, true]));
    expect(await begin({ last: 2 }, 2)).toEqual([[4, true], [5, true]]);
    expect(await begin({ epoch, offset: 3 }, 2)).toEqual([[4, true], [5, true]]);
    expect(await begin({ time: new Date(0) }, 1)).toEqual([[1, true]]);
    const live = client('carol').channel(name, { since: 'live' });
    const next = take(1, live.messages());
    await once((handler) => live.on('subscribed', handler));
    await writer.publish(6).stored;
    expect((await next).map((message) => [message.data, message.replayed])).toEqual([[6, false]]);
  });

  test('goes on over a killed server, without a hole and in order', async () => {
    const name = fresh();
    const [alice, bob] = [client('alice', { backoff: { max: 500 } }), client('bob', { backoff: { max: 500 } })];
    const room = bob.channel(name);
    const messages = room.messages();
    await once((handler) => room.on('subscribed', handler));
    const writer = alice.channel(name, { qos: 2 });
    writer.publish(1);
    expect((await take(1, messages)).map((message) => message.data)).toEqual([1]);
    await here.server.kill();
    const waiting = [writer.publish(2), writer.publish(3)];
    await here.server.start();
    await Promise.all(waiting.map((receipt) => receipt.stored));
    expect((await take(2, room.messages())).map((message) => message.data)).toEqual([2, 3]);
  });

  test('goes on at the durable cursor', async () => {
    const name = fresh();
    const { memory } = await import('../src/index.js');
    const store = memory();
    const writer = client('alice').channel(name);
    const first = client('bob', { store });
    const room = first.channel(name, { durable: true });
    await once((handler) => room.on('subscribed', handler));
    const handled: unknown[] = [];
    const acked = once((handler) => room.on('acked', handler));
    room.on('message', (message) => void handled.push(message.data));
    await writer.publish('a').stored;
    await acked;
    await first.close();
    await writer.publish('b').stored;
    const again = client('bob', { store }).channel(name, { durable: true });
    expect((await take(1, again.messages())).map(({ text, replayed }) => [text, replayed])).toEqual([['b', true]]);
    expect(handled).toEqual([undefined]);
  });

  test('acknowledges by hand where asked', async () => {
    const name = fresh();
    const room = client('bob').channel(name, { durable: true, ack: 'manual' });
    const positions: number[] = [];
    room.on('acked', ({ offset }) => positions.push(offset));
    const messages = room.messages();
    await once((handler) => room.on('subscribed', handler));
    const writer = client('alice').channel(name);
    for (let i = 1; i <= 3; i++) await writer.publish(i).stored;
    const received = await take(3, messages);
    const acked = once((handler) => room.on('acked', handler));
    room.ack(received[1]!);
    await acked;
    expect(positions).toEqual([2]);
  });

  test('waits for a reader that is slow, and loses nothing', async () => {
    const name = fresh();
    const bob = client('bob', { queue: { messages: 8 } });
    const room = bob.channel(name);
    const messages = room.messages();
    await once((handler) => room.on('subscribed', handler));
    const writer = client('alice').channel(name);
    const receipts = Array.from({ length: 300 }, (_, i) => writer.publish(i));
    await Promise.all(receipts.map((receipt) => receipt.stored));
    await bob.status(['alice']);
    const queue = (room as unknown as { readings: Set<{ queue: unknown[] }> }).readings;
    const longest = Math.max(...[...queue].map((reading) => reading.queue.length));
    expect(longest).toBeLessThan(300);
    expect((await take(300, messages)).map((message) => message.data)).toEqual(receipts.map((_, i) => i));
  });

  test('ends with leave and close, throws a refusal and an abort', async () => {
    const bob = client('bob');
    const room = bob.channel(fresh());
    const left = take(1, room.messages());
    room.leave();
    room.leave();
    expect(await left).toEqual([]);
    const closed = take(1, bob.channel(fresh()).messages());
    const aborted = new AbortController();
    const stopped = take(1, bob.channel(fresh()).messages({ signal: aborted.signal }));
    const reason = new Error('enough');
    aborted.abort(reason);
    await expect(stopped).rejects.toBe(reason);
    await bob.close();
    expect(await closed).toEqual([]);
    const one = client('carol').channel('room:conflict', { since: 'first' });
    const other = client('dave');
    const [first, second] = [other.channel('room:conflict', { qos: 1 }), other.channel('room:conflict', { qos: 2 })];
    one.leave();
    first.on('message', () => undefined);
    await expect(take(1, second.messages())).rejects.toMatchObject({ code: 'request.malformed' });
  });

  test('goes on where an iteration ended early', async () => {
    const name = fresh();
    const room = client('bob').channel(name);
    const messages = room.messages();
    await once((handler) => room.on('subscribed', handler));
    const writer = client('alice').channel(name);
    for (let i = 1; i <= 4; i++) await writer.publish(i).stored;
    expect((await take(1, messages)).map((message) => message.data)).toEqual([1]);
    expect((await take(2, room.messages())).map((message) => message.data)).toEqual([2, 3]);
    const [rest] = await once<[Message]>((handler) => room.on('message', handler));
    expect(rest.data).toBe(4);
  });

  test('keeps what comes before there is a handler, and between two', async () => {
    const name = fresh();
    const writer = client('alice').channel(name);
    const write = async (...numbers: number[]): Promise<void> => {
      for (const number of numbers) await writer.publish(number).stored;
    };
    const seen: unknown[] = [];
    const bob = client('bob');
    const room = bob.channel(name, { durable: true, since: 'first' });
    await write(1, 2);
    await once((handler) => room.on('subscribed', handler));
    await write(3);
    const off = room.on('message', (message) => void seen.push(message.data));
    await write(4);
    await vi.waitFor(() => expect(seen).toEqual([1, 2, 3, 4]));
    off();
    await write(5, 6);
    // An iteration takes it, too, and leaves what it did not take to the next handler.
    expect((await take(1, room.messages())).map((message) => message.data)).toEqual([5]);
    room.on('message', (message) => void seen.push(message.data));
    await write(7);
    await vi.waitFor(() => expect(seen).toEqual([1, 2, 3, 4, 6, 7]));
  });

  test('acknowledges nothing that nobody took', async () => {
    const name = fresh();
    const writer = client('alice').channel(name);
    const store = memory();
    const bob = client('bob', { store });
    const room = bob.channel(name, { durable: true });
    await once((handler) => room.on('subscribed', handler));
    await writer.publish(1).stored;
    await writer.publish(2).stored;
    await bob.close();
    const again = client('bob', { store }).channel(name, { durable: true });
    const seen: unknown[] = [];
    again.on('message', (message) => void seen.push(message.data));
    await vi.waitFor(() => expect(seen).toEqual([1, 2]));
  });

  test.each(['a loop that was left', 'an iteration that never began', 'a handle without a handler'])('goes on beside %s', async (which) => {
    const name = fresh();
    const bob = client('bob', { queue: { messages: 10 } });
    const [idle, busy] = [bob.channel(name), bob.channel(name)];
    const dropped: number[] = [];
    idle.on('dropped', (count) => void dropped.push(count));
    if (which === 'an iteration that never began') idle.messages();
    const seen: unknown[] = [];
    busy.on('message', (message) => void seen.push(message.text ?? message.data));
    await once((handler) => busy.on('subscribed', handler));
    const writer = client('alice').channel(name);
    const numbers = Array.from({ length: 60 }, (_, i) => i);
    writer.publish('first');
    if (which === 'a loop that was left') await take(1, idle.messages());
    for (const number of numbers) writer.publish(number);
    await vi.waitFor(() => expect(seen).toEqual(['first', ...numbers]));
    if (which === 'an iteration that never began') return;
    // The one that comes back has the newest, and is told what it has not.
    expect((await take(10, idle.messages())).map((message) => message.data)).toEqual(numbers.slice(50));
    expect(dropped).toEqual([which === 'a loop that was left' ? 50 : 51]);
  });

  test('asks the server to pause, however often a loop is left and entered again', async () => {
    const name = fresh();
    const room = client('bob', { queue: { messages: 8 } }).channel(name);
    await once((handler) => room.on('subscribed', handler));
    const writer = client('alice').channel(name);
    const receipts = Array.from({ length: 900 }, (_, i) => writer.publish(i));
    await Promise.all(receipts.map((receipt) => receipt.stored));
    const { readings } = room as unknown as { readings: Set<{ queue: unknown[] }> };
    const seen: unknown[] = [];
    // A page of the server's, and one more when the first loop begins: they only become fewer.
    for (let i = 0; i < 300; i++) {
      seen.push(...(await take(1, room.messages())).map((message) => message.data));
      expect([...readings].reduce((sum, { queue }) => sum + queue.length, 0)).toBeLessThanOrEqual(512);
    }
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => i));
  });

  test.each(['first message', 'moment after'])('a handler that takes one and leaves the rest to an iteration made in its %s', async (when) => {
    const name = fresh();
    const room = client('bob').channel(name);
    await once((handler) => room.on('subscribed', handler));
    const writer = client('alice').channel(name);
    for (let i = 0; i < 5; i++) await writer.publish(i).stored;
    const seen: unknown[] = [];
    let rest: Promise<unknown> | undefined;
    const off = room.on('message', (message) => {
      seen.push(message.data);
      off();
      if (when === 'first message') rest = take(4, room.messages()).then((messages) => void seen.push(...messages.map(({ data }) => data)));
    });
    if (when === 'moment after') {
      const messages = room.messages();
      await vi.waitFor(() => expect(seen).toEqual([0]));
      await messages.return();
      room.on('message', (message) => void seen.push(message.data));
    }
    await vi.waitFor(() => expect(seen.length).toBe(5));
    await rest;
    expect(seen).toEqual([0, 1, 2, 3, 4]);
  });

  test('tells what was given up before what is left, also to a handler that comes after', async () => {
    const name = fresh();
    const bob = client('bob', { queue: { messages: 4 } });
    const [idle, busy] = [bob.channel(name), bob.channel(name)];
    await once((handler) => idle.on('subscribed', handler));
    const seen: unknown[] = [];
    busy.on('message', (message) => void seen.push(message.data));
    const writer = client('alice').channel(name);
    for (let i = 0; i < 10; i++) writer.publish(i);
    await vi.waitFor(() => expect(seen.length).toBe(10));
    const told: unknown[] = [];
    idle.on('message', (message) => void told.push(message.data));
    idle.on('dropped', (count) => void told.push(`${count} dropped`));
    await vi.waitFor(() => expect(told).toEqual(['6 dropped', 6, 7, 8, 9]));
  });

  test('gives up by bytes, too', async () => {
    const name = fresh();
    const bob = client('bob', { queue: { bytes: 10_000 } });
    const [idle, busy] = [bob.channel(name), bob.channel(name)];
    await once((handler) => idle.on('subscribed', handler));
    let seen = 0;
    busy.on('message', () => void seen++);
    const writer = client('alice').channel(name);
    for (let i = 0; i < 20; i++) writer.publish({ i, fill: 'x'.repeat(2000) });
    await vi.waitFor(() => expect(seen).toBe(20));
    const dropped: number[] = [];
    idle.on('dropped', (count) => void dropped.push(count));
    expect((await take(4, idle.messages())).map(({ data }) => (data as { i: number }).i)).toEqual([16, 17, 18, 19]);
    expect(dropped).toEqual([16]);
  });

  test('refuses to acknowledge what is another channel\'s', async () => {
    const [here, there] = [client('bob').channel(fresh()), client('carol').channel(fresh())];
    const reads = take(1, here.messages());
    await once((handler) => here.on('subscribed', handler));
    await client('alice').channel(here.name).publish('x').stored;
    const [message] = await reads;
    expect(() => there.ack(message!)).toThrow(`a message of ${here.name} is not acknowledged on ${there.name}`);
    here.ack(message!);
    there.ack({ epoch: message!.epoch, offset: 1 });
  });

  test('survives handlers that throw, leave and come back', async () => {
    const name = fresh();
    const reported: unknown[] = [];
    const { nodeHost } = await import('../src/host/node.js');
    const bob = client('bob', { host: { ...nodeHost(), report: (error) => reported.push(error) } });
    const room = bob.channel(name);
    const seen: string[] = [];
    const off = room.on('message', () => {
      seen.push('once');
      off();
      off();
    });
    room.on('message', () => {
      throw new Error('oops');
    });
    room.on('message', async () => {
      throw new Error('later');
    });
    room.on('message', ({ text }) => void seen.push(text!));
    await once((handler) => room.on('subscribed', handler));
    const writer = client('alice').channel(name);
    await writer.publish('a').stored;
    const last = once((handler) => room.on('message', handler));
    await writer.publish('b').stored;
    await last;
    expect(seen.filter((text) => text === 'once')).toHaveLength(1);
    expect(seen).toContain('b');
    expect(reported.map((error) => (error as Error).message)).toContain('oops');
    expect(reported.map((error) => (error as Error).message)).toContain('later');
  });
});

describe('history', () => {
  test('is asked for in both directions', async () => {
    const name = fresh();
    const room = client('alice').channel(name);
    for (let i = 1; i <= 5; i++) await room.publish(i).stored;
    const newest = await room.history({ limit: 2 });
    expect(newest).toMatchObject({ more: true, first: 1, head: 5 });
    expect(newest.messages.map(({ channel, data }) => [channel, data])).toEqual([[name, 4], [name, 5]]);
    expect((await room.history({ after: 3 })).messages.map(({ data }) => data)).toEqual([4, 5]);
    expect((await room.history({ before: 3 })).messages.map(({ data }) => data)).toEqual([1, 2]);
    expect((await room.history({ after: { time: 0 }, limit: 1 })).messages.map(({ data }) => data)).toEqual([1]);
    expect((await room.history({ before: { time: 0 } })).messages).toEqual([]);
    await expect(room.history({ limit: 0 })).rejects.toMatchObject({ code: 'request.malformed' });
  });
});
