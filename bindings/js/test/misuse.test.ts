import { describe, expect, test, vi } from 'vitest';
import { type ClientOptions, createClient, isMoorlineError, memory } from '../src/index.js';
import { fresh, kit } from './kit/kit.js';

const here = kit();
const { client } = here;
const malformed = expect.objectContaining({ name: 'MoorlineError', code: 'request.malformed', number: 400, origin: 'client', retryable: false }) as Error;

describe('misuse', () => {
  test.each([undefined, null, {}, { url: '' }, { url: [] }, { url: 'https://example.com' }, { url: 'ws://' }, { url: 'ws://a b' }, { url: 7 }])(
    'options %j make no client',
    (options) => {
      expect(() => createClient(options as unknown as ClientOptions)).toThrow(malformed);
    },
  );

  test('names that are none are refused at the call', () => {
    for (const name of [undefined, '', 'a*b', 'x'.repeat(129), '\n']) {
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

  test('payloads that cannot be sent are refused at the call', () => {
    const room = client('alice').channel(fresh());
    const circle: unknown[] = [];
    circle.push(circle);
    for (const payload of [undefined, () => 1, Symbol('s'), circle, BigInt(10)]) expect(() => room.publish(payload)).toThrow(malformed);
    expect(() => room.publish('x'.repeat(65 * 1024))).toThrow(expect.objectContaining({ code: 'limit.message', number: 700 }));
    for (const options of [{ id: '' }, { id: 'x'.repeat(129) }, { ttl: -1 }, { ttl: 1.5 }, { qos: 9 }, { headers: { a: 1 } }, { headers: { '': 'a' } },
      { headers: { a: 'x'.repeat(1025) } }]) {
      expect(() => room.publish('x', options as object)).toThrow(malformed);
    }
    expect(room.publish('x'.repeat(64 * 1024)).state).toBe('queued');
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
