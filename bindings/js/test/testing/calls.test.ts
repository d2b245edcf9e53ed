// Calls of clients, which a test answers as the app's backend.
import { describe, expect, it, vi } from 'vitest';

import { MoorlineError, isMoorlineError } from '../../src/index.js';
import { type BackendCall, createTestServer } from '../../src/testing/index.js';
import { open, start } from './helpers.js';

/** What a call ends with: its answer, or its code and sentence. */
const endOf = (call: Promise<unknown>): Promise<unknown> =>
  call.catch((error: unknown) => (isMoorlineError(error) ? [error.code, error.message] : error));

describe('calls', () => {
  it('are answered by what a handler returns', async () => {
    const server = await start();
    const { client } = open(server, 'alice');
    server.onCall('echo', ({ data }) => data);
    server.onCall('later', async () => await Promise.resolve(undefined));
    for (const value of ['naïve 🦀', { a: [1, null, 'ü'] }, null, 0, '', new Uint8Array([0, 255])]) {
      expect(await client.call('echo', value)).toEqual(value);
    }
    expect(await client.call('later')).toBe(null);
  });

  it('tell the handler who asks, and what', async () => {
    const server = await start();
    const asked: BackendCall[] = [];
    server.onCall('cart.*', (call) => void asked.push(call));
    await open(server, 'alice').client.call('cart.add', { sku: 7 }, { id: 'c-1' });
    const { signal, device, ...call } = asked[0]!;
    expect(call).toEqual({ data: { sku: 7 }, method: 'cart.add', id: 'c-1', app: 'default', user: 'alice' });
    expect([signal.aborted, device]).toEqual([false, server.connections()[0]!.device]);
  });

  it('are answered by the last handler that fits, until it is taken back', async () => {
    const server = await start();
    const { client } = open(server, 'alice');
    server.onCall('cart.*', () => 'all of the cart');
    const off = server.onCall('cart.add', () => 'this one');
    expect([await client.call('cart.add'), await client.call('cart.clear')]).toEqual(['this one', 'all of the cart']);
    off();
    off();
    expect(await client.call('cart.add')).toBe('all of the cart');
    expect(await endOf(client.call('elsewhere'))).toEqual(['call.refused', "no handler for this method: server.onCall('elsewhere', …)"]);
  });

  it('end with the refusal that a handler throws', async () => {
    const server = await start();
    const { client } = open(server, 'alice');
    for (const code of ['call.refused', 'call.refused.sold_out', 'call.unavailable', 'call.failed', 'call.timeout']) {
      server.onCall('buy', () => {
        throw new MoorlineError(code, 'none left');
      });
      expect(await endOf(client.call('buy'))).toEqual([code, 'none left']);
    }
    await server.settle();
  });

  it('fail with whatever else a handler throws, and the test hears of it', async () => {
    const server = await start();
    const { client } = open(server, 'alice');
    server.onCall('broken', () => Promise.reject(new Error('in the handler')));
    server.onCall('denied', () => {
      throw new MoorlineError('call.denied', 'not a backend’s to say');
    });
    server.onCall('circle', () => BigInt(10));
    for (const [method, said] of [['broken', 'in the handler'], ['denied', 'not a backend’s'], ['circle', 'cannot be made JSON']] as const) {
      expect(await endOf(client.call(method))).toMatchObject(['call.failed', {}]);
      await expect(server.settle()).rejects.toThrow(said);
    }
    await server.settle();
  });

  it('whose backend is slow time out, though it did them', async () => {
    const server = await start();
    const { client } = open(server, 'alice');
    const done: BackendCall[] = [];
    server.onCall('slow', (call) => done.push(call), { delay: 3_000 });
    const [patient, hasty] = [endOf(client.call('slow')), endOf(client.call('slow', 1, { timeout: 2_000 }))];
    await server.settle();
    expect(done).toHaveLength(2);
    await server.advance(2_500);
    expect(await hasty).toMatchObject(['call.timeout', {}]);
    expect(done.map(({ signal }) => signal.aborted)).toEqual([false, true]);
    await server.advance(500);
    expect(await patient).toBe(1);
  });

  it('that are never answered free their places', async () => {
    const server = await start();
    const { client } = open(server, 'alice');
    server.onCall('never', () => new Promise(() => undefined));
    server.onCall('echo', ({ data }) => data);
    for (let round = 0; round < 2; round++) {
      const calls = Array.from({ length: 32 }, () => endOf(client.call('never')));
      expect(await endOf(client.call('echo'))).toMatchObject(['limit.calls', {}]);
      await server.advance(10_000);
      expect(new Set((await Promise.all(calls)).map((end) => (end as string[])[0]))).toEqual(new Set(['call.timeout']));
    }
    expect(await client.call('echo', 'free')).toBe('free');
  });

  it('are uncertain when the connection ends, and the handler is told', async () => {
    const server = await start();
    const { client, host } = open(server, 'alice');
    let asked: { readonly call: BackendCall; readonly answer: (value: string) => void }[] = [];
    server.onCall('pay', (call) => new Promise((answer) => asked.push({ call, answer })));
    for (const end of [() => server.restart(), () => host.cut()]) {
      asked = [];
      const first = endOf(client.call('pay', 10));
      await server.until(() => asked.length === 1);
      end();
      expect(await first).toMatchObject(['call.uncertain', {}]);
      expect(asked[0]!.call.signal.aborted).toBe(true);
      // Another server process numbers its calls anew: what was asked before answers none of them.
      const second = endOf(client.call('pay', 20));
      await server.until(() => asked.length === 2);
      asked[0]!.answer('for the first');
      await server.settle();
      asked[1]!.answer('for the second');
      expect(await second).toBe('for the second');
    }
  });

  it('wait for a connection, and are not made twice', async () => {
    const server = await start();
    const { client, host } = open(server, 'alice');
    const handler = vi.fn(() => 'done');
    server.onCall('work', handler);
    host.offline();
    const [soon, never] = [endOf(client.call('work')), endOf(client.call('work', 1, { timeout: 100 }))];
    await server.advance(5_000);
    expect([handler.mock.calls.length, await never]).toMatchObject([0, ['request.timeout', {}]]);
    host.heal();
    await server.advance(3_000);
    expect([await soon, handler.mock.calls.length]).toEqual(['done', 1]);
  });

  it('need a grant, and an app with a backend', async () => {
    const server = await start({ users: { alice: { 'cart.*': ['call'] } }, calls: ['default', 'shop'] });
    server.onCall('*', ({ app, method }) => `${app}: ${method}`);
    const { client } = open(server, 'alice');
    const shop = open(server, 'alice', { url: 'ws://moorline.test/ws/shop' }).client;
    const other = open(server, 'alice', { url: 'ws://moorline.test/ws/other' }).client;
    expect([await client.call('cart.add'), await shop.call('cart.add')]).toEqual(['default: cart.add', 'shop: cart.add']);
    expect(await endOf(client.call('user.delete'))).toMatchObject(['call.denied', {}]);
    expect(await endOf(other.call('cart.add'))).toMatchObject(['request.unsupported', {}]);
    await expect(createTestServer({ calls: ['a b'] })).rejects.toThrow('a b');
  });

  it('are set up by methods, functions and times that are some', async () => {
    const server = await start();
    for (const method of ['', 'a b', 'a*b', '*a', 'x'.repeat(129), 7 as never]) expect(() => server.onCall(method, () => 1)).toThrow('onCall() takes');
    expect(() => server.onCall('echo', 7 as never)).toThrow('a function');
    expect(() => server.onCall('echo', () => 1, { delay: -1 })).toThrow(RangeError);
  });
});
