import { describe, expect, test, vi } from 'vitest';
import { type ClientOptions, createClient, isMoorlineError, memory } from '../src/index.js';
import { fresh, kit, take } from './kit/kit.js';

const here = kit();
const { client } = here;
const malformed = expect.objectContaining({ name: 'MoorlineError', code: 'request.malformed', number: 400, origin: 'client', retryable: false }) as Error;

describe('misuse', () => {
  test.each([undefined, null, {}, { url: '' }, { url: [] }, { url: 'https://example.com' }, { url: 'ws://' }, { url: 'ws://a b' }, { url: 7 }, { url: 'ws://a:99999/' },
    { url: 'ws://[::1/' }, { url: 'ws://a:b/' }, ...[Infinity, NaN, 0, -1, 1.5, null, '5', BigInt(10)].map((value) => ({ url: 'ws://a', connectTimeout: value })),
    ...['backoff', 'outbox', 'queue'].flatMap((name) => [null, 'x', { [name === 'backoff' ? 'max' : 'messages']: Infinity }].map((value) => ({ url: 'ws://a', [name]: value }))),
    { url: 'ws://a', store: {} }, { url: 'ws://a', store: () => ({}) }, { url: 'ws://a', tabs: true }])(
    'options %o make no client',
    (options) => {
      expect(() => createClient(options as unknown as ClientOptions)).toThrow(malformed);
    },
  );

  test('names that are none are refused at the call', () => {
    for (const name of [undefined, '', 'a*b', 'x'.repeat(129), '\n', 'half \udc00']) {
      expect(() => client('alice').channel(name as string)).toThrow(expect.objectContaining({ code: 'channel.invalid', number: 410 }));
    }
  });

  test('options that are none are refused at the call', () => {
    const alice = client('alice');
    for (const options of [null, { qos: 3 }, { since: 'yesterday' }, { since: { last: -1 } }, { since: { epoch: '', offset: 1 } }, { durable: 'yes' },
      { presence: 'lurk' }, { ack: true }, { state: {} }, { presence: 'join', state: 'x'.repeat(4096) }]) {
      expect(() => alice.channel('room', options as object)).toThrow(malformed);
    }
  });

  test('a state that JSON cannot say is told what a state may be', () => {
    for (const state of [new Map(), NaN, () => 1]) {
      const of = (): unknown => client('alice').channel('room', { presence: 'join', state });
      expect(of).toThrow(/^the presence state is .*: pass a value that JSON can say \(null included\)$/);
    }
  });

  test('payloads that cannot be sent are refused at the call', () => {
    const room = client('alice').channel(fresh());
    const circle: unknown[] = [];
    circle.push(circle);
    const detached = new Uint8Array(3);
    structuredClone(detached, { transfer: [detached.buffer] });
    for (const payload of [undefined, () => 1, Symbol('s'), circle, BigInt(10), new Map([[1, 2]]), new Set([1]), Promise.resolve(1), new Error('no'), NaN,
      new Date(NaN), /x/, new SharedArrayBuffer(1), detached, detached.buffer]) expect(() => room.publish(payload)).toThrow(malformed);
    expect(() => room.publish('x'.repeat(65 * 1024))).toThrow(expect.objectContaining({ code: 'limit.message', number: 700 }));
    for (const options of [{ id: '' }, { id: 'x'.repeat(129) }, { ttl: -1 }, { ttl: 1.5 }, { qos: 9 }, { headers: { a: 1 } }, { headers: { '': 'a' } },
      { headers: { a: 'x'.repeat(1025) } }, null, { headers: null }, { headers: 'abc' }, { id: '\ud800' }]) {
      expect(() => room.publish('x', options as object)).toThrow(malformed);
    }
    expect(room.publish('x'.repeat(64 * 1024)).state).toBe('queued');
  });

  test('what is no plain object but says something as JSON is one', async () => {
    const room = client('alice').channel(fresh());
    const { runInNewContext } = await import('node:vm');
    for (const payload of [{}, Object.create(null), runInNewContext('({})'), null, new Date(0), { toJSON: () => 'x' }, { toJSON: () => ({}) }, new (class A {
      a = undefined;
    })()]) {
      expect(room.publish(payload).state).toBe('queued');
    }
  });

  test('arguments that are none are refused at the call, and end nothing', async () => {
    const alice = client('alice');
    const room = alice.channel(fresh(), { durable: true });
    for (const signal of [undefined, null, 'nope', { network: -1 }, { network: BigInt(1) }, { network: Infinity }]) {
      expect(() => alice.lifecycle(signal as 'online')).toThrow(malformed);
    }
    for (const position of [undefined, null, { epoch: 'x', offset: -1 }, { epoch: 'x', offset: Infinity }, { offset: 1 }]) {
      expect(() => room.ack(position as { epoch: string; offset: number })).toThrow(malformed);
    }
    for (const options of [null, { signal: {} }]) expect(() => room.messages(options as object)).toThrow(malformed);
    for (const query of [null, { after: null }, { before: {} }]) await expect(room.history(query as object)).rejects.toThrow(malformed);
    await expect(alice.call('echo', 1, null as never)).rejects.toThrow(malformed);
    await expect(room.presence.page(null as never)).rejects.toThrow(malformed);
    for (const options of [null, { wipe: 'yes' }]) await expect(alice.close(options as object)).rejects.toThrow(malformed);
    await room.publish('still here').stored;
  });

  test('what is called before the first use is done with it', async () => {
    const alice = client('alice');
    alice.lifecycle('foreground');
    alice.disconnect();
    await alice.connect();
    expect(alice.state).toBe('online');
    alice.disconnect();
    await alice.connect();
    const bob = client('bob', { url: 'ws://127.0.0.1:9' });
    const never = bob.connect();
    bob.disconnect();
    await expect(never).rejects.toMatchObject({ code: 'request.order', message: 'disconnect() was called' });
  });

  test('bytes are those of the call, whatever becomes of the buffer', async () => {
    const name = fresh();
    const bob = client('bob').channel(name, { since: 'first' });
    const alice = client('alice').channel(name);
    const bytes = new Uint8Array([1, 2, 3]);
    const sent = [alice.publish(bytes), alice.publish('next')];
    bytes.fill(9);
    structuredClone(bytes, { transfer: [bytes.buffer] });
    await Promise.all(sent.map((receipt) => receipt.stored));
    expect((await take(2, bob.messages())).map((message) => message.text ?? [...message.bytes!])).toEqual([[1, 2, 3], 'next']);
  });

  test('after a final refusal everything says why, and what was kept goes out with the next client', async () => {
    const store = { ...memory(), isLasting: true };
    const name = fresh();
    const kept = client('alice', { store, token: 'forged' });
    const room = kept.channel(name);
    const receipt = room.publish('x');
    await expect(receipt.stored).rejects.toMatchObject({ code: 'auth.invalid' });
    expect([receipt.state, receipt.isKept]).toEqual(['queued', true]);
    const refused = expect.objectContaining({ code: 'auth.invalid' }) as Error;
    expect(() => room.publish('y')).toThrow(refused);
    expect(() => room.on('message', () => undefined)).toThrow(refused);
    await expect(kept.status(['bob'])).rejects.toThrow(refused);
    await kept.close();
    const next = client('alice', { store });
    await next.connect();
    expect(next.restored.map(({ id }) => id)).toEqual([receipt.id]);
    await next.restored[0]!.stored;
  });

  test('a store that never answers does not hold up close for ever', async () => {
    const { nodeHost } = await import('../src/host/node.js');
    const fired: (() => void)[] = [];
    const host = { ...nodeHost(), timer: (ms: number, fire: () => void) => (ms === 8000 && fired.push(fire), () => undefined) };
    const never = new Promise<never>(() => undefined);
    for (const store of [{ ...memory(), load: () => never }, { ...memory(), close: () => never }]) {
      const alice = client('alice', { host, store });
      const receipt = alice.channel(fresh()).publish('x');
      const closing = alice.close({ wipe: true });
      await vi.waitFor(() => expect(fired.length).toBeGreaterThan(0));
      fired.splice(0).forEach((fire) => fire());
      await expect(closing).rejects.toMatchObject({ code: 'storage.unavailable' });
      await expect(receipt.stored).rejects.toMatchObject({ code: 'client.closed' });
      expect(alice.state).toBe('closed');
    }
  });

  test('when a client ends, its state is there before its event', async () => {
    const alice = client('alice', { store: { ...memory(), load: () => Promise.reject(new Error('broken')) } });
    const seen: string[] = [];
    alice.on('state', (state) => void seen.push(state, alice.state));
    await expect(alice.connect()).rejects.toMatchObject({ code: 'storage.unavailable' });
    expect(seen).toEqual(['closed', 'closed']);
  });

  test('calls that make no sense are refused', async () => {
    const alice = client('alice');
    const circle: unknown[] = [];
    circle.push(circle);
    for (const method of [undefined, '', 'a b', 'cart.*', 'x'.repeat(129)]) await expect(alice.call(method as string)).rejects.toThrow(malformed);
    for (const data of [() => 1, Symbol('s'), circle, BigInt(10)]) await expect(alice.call('echo', data)).rejects.toThrow(malformed);
    for (const options of [{ timeout: 0 }, { timeout: 30_001 }, { timeout: 1.5 }, { timeout: '5s' }, { id: '' }, { id: 'x'.repeat(129) }]) {
      await expect(alice.call('echo', 1, options as object)).rejects.toThrow(malformed);
    }
    await expect(alice.call('echo', 'x'.repeat(65 * 1024))).rejects.toMatchObject({ code: 'limit.message' });
    // This server has no backend for calls.
    await expect(alice.call('echo')).rejects.toMatchObject({ code: 'request.unsupported' });
  });

  test('everything after close fails with client.closed', async () => {
    const alice = client('alice');
    const room = alice.channel(fresh());
    await room.publish('hi').stored;
    await alice.close();
    await alice.close();
    const closed = expect.objectContaining({ code: 'client.closed', number: 100 }) as Error;
    expect(alice.state).toBe('closed');
    expect(() => room.publish('hi')).toThrow(closed);
    expect(() => room.messages()).toThrow(closed);
    expect(() => room.on('message', () => undefined)).toThrow(closed);
    await expect(room.history()).rejects.toThrow(closed);
    await expect(alice.connect()).rejects.toThrow(closed);
    await expect(alice.status(['bob'])).rejects.toThrow(closed);
    await expect(alice.call('echo')).rejects.toThrow(closed);
    await expect(room.presence.update({})).rejects.toThrow(closed);
    expect(() => alice.watchStatus(['bob'])).toThrow(closed);
    alice.disconnect();
    alice.lifecycle('online');
    expect(alice.blackbox()).toHaveLength(0);
  });

  test('a handler of a handle that has left is refused, and not kept', async () => {
    const alice = client('alice');
    const [left, closed] = [alice.channel(fresh()), alice.channel(fresh())];
    const handlers = (of: object): number => {
      const { events } = of as unknown as { events: { handlers: Map<string, readonly unknown[]> } };
      return [...events.handlers.values()].reduce((sum, list) => sum + list.length, 0);
    };
    left.leave();
    const never = (): never => expect.unreachable();
    expect(() => left.on('message', never)).toThrow(/has left .*take a new one/);
    expect(() => left.presence.on('change', never)).toThrow(malformed);
    await alice.close();
    expect(() => closed.on('message', never)).toThrow(expect.objectContaining({ code: 'client.closed' }));
    expect([left, left.presence, closed].map(handlers)).toEqual([0, 0, 0]);
  });

  test('a handler that throws stops nobody, and its error is reported', async () => {
    const reported: unknown[] = [];
    const { nodeHost } = await import('../src/host/node.js');
    const alice = client('alice', { host: { ...nodeHost(), report: (error) => reported.push(error) } });
    const room = alice.channel(fresh());
    const fault = new Error('of the app');
    const seen: unknown[] = [];
    room.on('message', () => {
      throw fault;
    });
    room.on('message', (message) => void seen.push(message.data));
    await Promise.all([1, 2].map((n) => room.publish(n).stored));
    await vi.waitFor(() => expect(seen).toEqual([1, 2]));
    expect(reported).toEqual([fault, fault]);
    expect(alice.state).toBe('online');
  });

  test('a client that was never used is closed, too', async () => {
    const alice = client('alice');
    await alice.close();
    expect(alice.state).toBe('closed');
  });

  test('a token provider that fails is told, and asked again', async () => {
    let calls = 0;
    const alice = client('alice', {
      backoff: { min: 1, max: 1 },
      token: () => {
        calls++;
        if (calls === 1) throw new Error('no session');
        return 'dev:alice';
      },
    });
    const causes: unknown[] = [];
    alice.connection.subscribe(() => causes.push('cause' in alice.connection.current && alice.connection.current.cause?.message));
    await alice.connect();
    expect(causes).toContain('no session');
    expect(calls).toBe(2);
  });

  test('a refused token is final, and says so', async () => {
    const alice = client('alice', { token: 'nonsense' });
    const room = alice.channel(fresh());
    const receipt = room.publish('hi');
    await expect(alice.connect()).rejects.toMatchObject({ code: 'auth.invalid', number: 300, origin: 'server' });
    expect(alice.state).toBe('closed');
    await expect(receipt.stored).rejects.toMatchObject({ code: 'auth.invalid' });
  });

  test('a store that takes nothing fails the publish', async () => {
    const full = { ...memory(), commit: () => Promise.reject(Object.assign(new Error('no room'), { name: 'QuotaExceededError' })) };
    const receipt = client('alice', { store: full }).channel(fresh()).publish('hi', { qos: 2 });
    await expect(receipt.queued).rejects.toMatchObject({ code: 'storage.full' });
    expect(receipt.state).toBe('failed');
  });

  test('a logout says if the store may not be cleared', async () => {
    const stuck = { ...memory(), commit: () => Promise.reject(new Error('no disk')) };
    const [alice, bob] = [client('alice', { store: stuck }), client('bob')];
    await expect(alice.close({ wipe: true })).rejects.toMatchObject({ code: 'storage.unavailable' });
    await bob.close({ wipe: true });
  });

  test('a store that cannot be read ends the client', async () => {
    const broken = { ...memory(), load: () => Promise.reject(new Error('damaged')) };
    const alice = client('alice', { store: broken });
    await expect(alice.connect()).rejects.toMatchObject({ code: 'storage.unavailable', message: 'damaged' });
    expect(alice.state).toBe('closed');
  });

  test('errors of another copy of the package are known', async () => {
    vi.resetModules();
    const other = await import('../src/index.js');
    const error = new other.MoorlineError('auth.expired', 'late');
    expect(isMoorlineError(error)).toBe(true);
    expect(isMoorlineError(new Error('late'))).toBe(false);
    expect(new other.MoorlineError('shop.sold_out', 'gone')).toMatchObject({ code: 'shop.sold_out', number: 0, retryable: false });
  });
});
