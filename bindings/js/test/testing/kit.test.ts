import { afterEach, describe, expect, it, vi } from 'vitest';

import { createClient } from '../../src/index.js';
import { createTestServer, describeHost } from '../../src/testing/index.js';
import { open, start, texts } from './helpers.js';

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('time', () => {
  it('does not pass by itself', async () => {
    const server = await start();
    const begin = server.now;
    const alice = open(server, 'alice');
    await alice.client.connect();
    await alice.room.publish('at once').stored;
    expect(server.now).toBe(begin);
    await server.advance(1_234);
    expect(server.now).toBe(begin + 1_234);
  });

  it('ends its waits when the server is stopped', async () => {
    const server = await start();
    open(server, 'alice');
    const waits = [server.advance(1_000)];
    server.stop();
    await Promise.all(waits);
    expect(server.now).toBeGreaterThan(0);
  });

  it('says that something goes round in circles', async () => {
    const server = await start();
    const host = server.host();
    const again = (): void => void host.timer(0, again);
    again();
    await expect(server.settle()).rejects.toThrow('goes round in circles');
  });

  it('is what the client and the server have, too', async () => {
    const server = await start({ now: new Date('2030-05-01T12:00:00Z') });
    const alice = open(server, 'alice');
    await server.advance(5_000);
    const { current } = alice.client.connection;
    expect(current).toMatchObject({ state: 'online' });
    expect(server.connections()[0]?.since).toBe(Date.UTC(2030, 4, 1, 12));
    server.cut();
    await server.settle();
    const { retryAt } = alice.client.connection.current as { retryAt: number };
    expect(retryAt).toBeGreaterThanOrEqual(server.now);
    await server.advance(retryAt - server.now - 1);
    expect(alice.client.state).toBe('recovering');
    await server.advance(1);
    expect(alice.client.state).toBe('online');
  });

  it('gives the same run for the same seed, and others for others', async () => {
    const run = async (seed: number): Promise<string> => {
      const server = await start({ seed });
      const [alice, bob] = [open(server, 'alice'), open(server, 'bob')];
      const log: string[] = [];
      alice.client.on('state', (state, { kind }) => log.push(`${server.now} ${state} ${kind}`));
      bob.room.on('message', ({ id, epoch }) => log.push(`${server.now} ${id} ${epoch}`));
      await server.settle();
      for (let i = 0; i < 5; i++) {
        alice.room.publish(i);
        server.cut(alice.client);
        await server.advance(7_000);
      }
      server.restart();
      await server.advance(60_000);
      return log.join('\n');
    };
    const first = await run(1);
    expect(first.split('\n').length).toBeGreaterThan(15);
    expect(await run(1)).toBe(first);
    expect(await run(2)).not.toBe(first);
  });

  it('moves with fake timers, and they with it', async () => {
    vi.useFakeTimers({ now: Date.UTC(2028, 1, 1) });
    const server = await start({ timers: vi });
    const alice = open(server, 'alice');
    await server.settle();
    expect([alice.client.state, server.now]).toEqual(['online', Date.UTC(2028, 1, 1)]);
    let isDone = false;
    setTimeout(() => (isDone = true), 30_000);
    server.blackhole();
    await server.advance(31_000);
    expect([isDone, alice.client.state]).toEqual([true, 'online']);
    await vi.advanceTimersByTimeAsync(30_000);
    expect([alice.client.state, Date.now() - Date.UTC(2028, 1, 1)]).toEqual(['recovering', 61_000]);
    server.heal();
    await server.until(() => alice.client.state === 'online');
    await alice.room.publish('with fake timers').stored;
    expect(texts(server)).toEqual(['with fake timers']);
  });

  it('works while timers are faked that it does not know of', async () => {
    vi.useFakeTimers();
    const server = await start();
    const alice = open(server, 'alice');
    await server.advance(60_000);
    expect([alice.client.state, vi.getTimerCount()]).toEqual(['online', 0]);
  });

  it('says what did not become so in time', async () => {
    const server = await start();
    const begin = server.now;
    await expect(server.until(() => 1 > 2, { within: 5_000 })).rejects.toThrow('not so within 5000 ms: () => 1 > 2');
    expect(server.now).toBe(begin + 5_000);
  });

  it('is moved by one at a time', async () => {
    const server = await start();
    const first = server.advance(10);
    await expect(server.advance(10)).rejects.toThrow('await each advance()');
    await first;
    await expect(server.advance(-1)).rejects.toThrow(RangeError);
    await expect(server.advance(Number.NaN)).rejects.toThrow(RangeError);
  });

  it('ends with the server', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    server.stop();
    alice.room.publish('unheard');
    await server.settle();
    expect(texts(server)).toEqual([]);
  });
});

describe('servers and devices', () => {
  it('do not meet', async () => {
    const [one, other] = [await start(), await start()];
    open(one, 'alice');
    open(other, 'bob');
    await one.settle();
    await other.settle();
    one.publish('room', 'here');
    other.kill();
    expect([texts(other), one.connections().map(({ user }) => user)]).toEqual([[], ['alice']]);
    expect(() => other.cut(open(one, 'carol').client)).not.toThrow();
  });

  it('have apps, by URL', async () => {
    const server = await start();
    const shop = createClient({ url: 'wss://chat.example.com/ws/shop', token: 'dev:alice', host: server.host() });
    const lost = createClient({ url: 'wss://chat.example.com/elsewhere', token: 'dev:bob', host: server.host() });
    void shop.connect();
    void lost.connect();
    await server.settle();
    expect([shop.state, lost.state]).toEqual(['online', 'connecting']);
    expect(server.connections().map(({ app, user }) => [app, user])).toEqual([['shop', 'alice']]);
  });

  it('tell what handlers of the app threw', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    const fault = new Error('in the app');
    alice.room.on('message', () => {
      throw fault;
    });
    await server.settle();
    server.publish('room', 'one');
    server.publish('room', 'two');
    await server.settle();
    expect([alice.host.errors, alice.shown]).toEqual([[fault, fault], ['one', 'two']]);
  });

  it('take signals of the system', async () => {
    const server = await start();
    const { client, host } = open(server, 'alice');
    server.refuse();
    await server.advance(120_000);
    server.heal();
    await server.settle();
    expect(client.state).toBe('connecting');
    host.signal('online');
    await server.settle();
    expect(client.state).toBe('online');
  });

  it('refuse what makes no sense, and say what would', async () => {
    await expect(createTestServer({ limits: { mesage: 1 } as never })).rejects.toThrow('`mesage`');
    await expect(createTestServer({ seed: -1 })).rejects.toThrow('the seed');
    const server = await start();
    expect(() => server.cut('nobody')).toThrow('no connection of a user "nobody"');
    expect(() => server.close(server.host(), 1000)).toThrow('4000 to 4999');
    expect(() => server.refuse(1)).toThrow('4000 to 4999');
    expect(() => server.delay(-1)).toThrow(RangeError);
    expect(() => server.token('')).toThrow('user name');
    const foreign = createClient({ url: server.url, host: { ...server.host(), name: 'mine' } as never });
    expect(() => server.cut(foreign)).toThrow('server.host()');
  });
});

describe('the module', () => {
  it('loads nothing before a server is made, and the module once', async () => {
    const looked: string[] = [];
    const Real = URL;
    vi.stubGlobal('URL', class extends Real {
      constructor(url: string, base?: string) {
        super(url, base);
        if (url.endsWith('.wasm')) looked.push(url);
      }
    });
    vi.resetModules();
    const kit = await import('../../src/testing/index.js');
    expect(looked).toEqual([]);
    for (const server of [await kit.createTestServer(), await kit.createTestServer()]) server.stop();
    expect(looked).toEqual(['./server.wasm']);
  });

  it('says that a test runner is missing', () => {
        expect(() => describeHost('mine', () => Promise.reject(new Error('not made')))).toThrow('{ describe, it }');
  });
});
