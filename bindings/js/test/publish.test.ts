import { describe, expect, test } from 'vitest';
import { isMoorlineError, memory } from '../src/index.js';
import { fresh, kit, once, take } from './kit/kit.js';

const { client } = kit();

async function reading(user: string, name: string, options = {}) {
  const room = client(user).channel(name, options);
  const messages = room.messages();
  await once((handler) => room.on('subscribed', handler));
  return { room, messages };
}

describe('a publish', () => {
  test.each([0, 1, 2] as const)('arrives at QoS %i', async (qos) => {
    const name = fresh();
    const { messages } = await reading('bob', name, { qos });
    const alice = client('alice');
    await alice.connect();
    const receipt = alice.channel(name).publish('hi', { qos });
    const [message] = await take(1, messages);
    expect(message).toMatchObject({ id: receipt.id, text: 'hi', user: 'alice' });
    if (qos === 0) {
      await expect(receipt.stored).rejects.toMatchObject({ code: 'request.unsupported' });
      expect(receipt.state).toBe('sent');
      expect(message!.offset).toBeUndefined();
    } else {
      expect(await receipt.stored).toMatchObject({ offset: 1, duplicate: false });
      expect(receipt.state).toBe('stored');
    }
  });

  test('carries texts, bytes and values as they are', async () => {
    const name = fresh();
    const { messages } = await reading('bob', name);
    const room = client('alice').channel(name);
    const text = 'naïve 日本語 🦀 \u0000 end';
    const bytes = new Uint8Array([0, 255, 128]);
    for (const payload of [text, bytes, bytes.buffer, { a: [1, null, 'ü'] }, null, false, 0, '']) room.publish(payload);
    const received = await take(8, messages);
    expect(received.map(({ text, bytes, data }) => ({ text, bytes, data }))).toEqual([
      { text }, { bytes }, { bytes }, { data: { a: [1, null, 'ü'] } }, { data: null }, { data: false }, { data: 0 }, { text: '' },
    ]);
  });

  test('says when it is kept, sent and stored', async () => {
    const receipt = client('alice').channel(fresh()).publish('hi');
    const states: string[] = [receipt.state];
    receipt.progress.subscribe(() => states.push(receipt.state));
    await receipt.queued;
    // In Node the store is in memory, and outlives nothing.
    expect(receipt.isKept).toBe(false);
    await receipt.stored;
    expect(states).toEqual(['queued', 'sent', 'stored']);
  });

  test('with the same id is stored once', async () => {
    const room = client('alice').channel(fresh());
    const first = await room.publish('one', { id: 'same' }).stored;
    const second = await room.publish('one', { id: 'same' }).stored;
    expect(first).toMatchObject({ offset: 1, duplicate: false });
    expect(second).toMatchObject({ offset: 1, duplicate: true });
    const reused = room.publish('another', { id: 'same' });
    const error: unknown = await reused.stored.catch((error: unknown) => error);
    expect(isMoorlineError(error) && [error.code, error.number, error.origin, error.retryable]).toEqual(['publish.reused', 601, 'server', false]);
    expect(reused.state).toBe('failed');
    expect(reused.error).toBe(error);
  });

  test('beyond the outbox is refused on the spot, also before the core is there', async () => {
    const alice = client('alice', { outbox: { messages: 2 } });
    const room = alice.channel(fresh());
    const receipts = [room.publish(1), room.publish(2)];
    expect(alice.outbox).toEqual({ messages: 2, bytes: 2 });
    expect(() => room.publish(3)).toThrow(expect.objectContaining({ code: 'limit.outbox', number: 704, retryable: true }));
    await Promise.all(receipts.map((receipt) => receipt.stored));
    const more = [room.publish(4), room.publish(5)];
    expect(() => room.publish(6)).toThrow(expect.objectContaining({ code: 'limit.outbox' }));
    await Promise.all(more.map((receipt) => receipt.stored));
    expect(alice.outbox).toEqual({ messages: 0, bytes: 0 });
  });

  test('that the core refuses, taken before it was there, does not count for the outbox', async () => {
    const [name, store] = [fresh(), memory()];
    const options = { url: 'ws://127.0.0.1:1', store, outbox: { messages: 1 } };
    const before = client('alice', options);
    await before.channel(name).publish('kept').queued;
    await before.close();
    const alice = client('alice', options);
    await expect(alice.channel(name).publish('too much').queued).rejects.toMatchObject({ code: 'limit.outbox' });
    expect(alice.outbox).toEqual({ messages: 1, bytes: 4 });
  });

  test('keeps its order, a thousand of them', async () => {
    const name = fresh();
    const { messages } = await reading('bob', name, { qos: 2 });
    const room = client('alice').channel(name, { qos: 2 });
    for (let i = 0; i < 1000; i++) room.publish(i);
    expect((await take(1000, messages)).map((message) => message.data)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  });
});
