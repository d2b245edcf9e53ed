import { describe, expect, it } from 'vitest';

import { createClient } from '../../src/index.js';
import { open, start, texts } from './helpers.js';

describe('tokens', () => {
  it('refuses whom the server does not know', async () => {
    const server = await start({ users: { alice: { '*': ['subscribe', 'publish', 'presence', 'history'] } } });
    const [alice, mallory] = [open(server, 'alice'), open(server, 'mallory')];
    await server.settle();
    const { current } = mallory.client.connection;
    expect([alice.client.state, current.state]).toEqual(['online', 'closed']);
    expect(current).toMatchObject({ cause: { code: 'auth.invalid' } });
  });

  it('allows what the grants of a user say', async () => {
    const server = await start({ users: { alice: { 'room': ['subscribe'] } } });
    const client = createClient({ url: server.url, token: server.token('alice'), host: server.host() });
    const receipt = client.channel('room').publish('no');
    const errors: string[] = [];
    client.channel('secret').on('error', (error) => errors.push(error.code));
    await server.settle();
    expect([receipt.state, receipt.error?.code, errors]).toEqual(['failed', 'channel.denied', ['channel.denied']]);
  });

  it('fetches a new token when the old one has expired', async () => {
    const server = await start();
    const reasons: string[] = [];
    const token = ({ reason }: { reason: string }) => {
      reasons.push(reason);
      return server.token('alice');
    };
    const alice = open(server, 'alice', { token });
    await server.settle();
    server.expireToken('alice');
    await server.until(() => alice.client.state === 'online');
    await server.advance(1_000);
    expect(reasons).toHaveLength(2);
    expect([alice.client.state, alice.states]).toEqual(['online', ['connecting', 'online', 'recovering', 'online']]);
  });

  it('stops when a token that cannot be replaced has expired', async () => {
    const server = await start();
    const alice = open(server, 'alice', { token: server.token('alice', { ttl: 60_000 }) });
    await server.settle();
    expect(alice.client.state).toBe('online');
    await server.advance(300_000);
    expect(alice.client.state).not.toBe('online');
  });

  it('replaces a token before it expires, without a gap', async () => {
    const server = await start();
    let fetched = 0;
    const token = () => (fetched++, server.token('alice', { ttl: 300_000 }));
    const alice = open(server, 'alice', { token });
    await server.advance(3_600_000);
    expect(fetched).toBeGreaterThan(11);
    expect(alice.states).toEqual(['connecting', 'online']);
  });

  it('puts out a user who is revoked', async () => {
    const server = await start();
    const alice = open(server, 'alice', { token: server.token('alice') });
    const bob = open(server, 'bob');
    await server.settle();
    server.revoke('alice');
    await server.advance(60_000);
    expect([alice.client.state, bob.client.state]).toEqual(['closed', 'online']);
    expect(server.connections().map(({ user }) => user)).toEqual(['bob']);
    const again = open(server, 'alice', { token: server.token('alice') });
    await server.settle();
    expect(again.client.state).toBe('online');
  });
});

describe('presence', () => {
  it('tells of somebody who was cut off, after the time of grace', async () => {
    const server = await start();
    const [alice, bob] = [open(server, 'alice'), open(server, 'bob')];
    const events: string[] = [];
    await server.advance(1_000);
    alice.room.presence.on('change', (changes) => changes.forEach(({ event, user }) => events.push(`${event} ${user}`)));
    server.offline(bob.client);
    await server.advance(10_000);
    expect([events, server.members('room').map(({ user }) => user)]).toEqual([[], ['alice', 'bob']]);
    await server.advance(10_000);
    expect([events, alice.room.presence.count]).toEqual([['leave bob'], 1]);
    expect(server.members('room')).toHaveLength(1);
  });

  it('tells at once of somebody who left', async () => {
    const server = await start();
    const [alice, bob] = [open(server, 'alice'), open(server, 'bob')];
    await server.advance(1_000);
    expect(alice.room.presence.members.map(({ user }) => user)).toEqual(['alice', 'bob']);
    void bob.client.close();
    await server.advance(1_000);
    expect(alice.room.presence.members.map(({ user }) => user)).toEqual(['alice']);
  });

  it('says who is online', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    open(server, 'bob');
    await server.settle();
    const status = alice.client.status(['bob', 'carol']);
    await server.settle();
    expect(await status).toEqual({ bob: { online: true, since: server.now }, carol: { online: false } });
  });
});

describe('storage', () => {
  it('sends after a restart of the app what it could not send before', async () => {
    const server = await start();
    const host = server.host();
    const before = open(server, 'alice', { host });
    await server.settle();
    host.offline();
    await before.room.publish('from last time').queued;
    void before.client.close();
    await server.advance(5_000);
    expect(before.client.state).toBe('closed');
    host.heal();
    const after = open(server, 'alice', { host });
    await server.until(() => texts(server).length > 0);
    expect([texts(server), after.client.restored.map(({ state }) => state)]).toEqual([['from last time'], ['stored']]);
    expect(server.connections()).toHaveLength(1);
  });

  it('tells that a message was not kept when the storage is full', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    alice.host.storage.fill();
    const refused = alice.room.publish('no room', { qos: 2 });
    await server.settle();
    expect([refused.state, refused.error?.code, refused.isKept, texts(server)]).toEqual(['failed', 'storage.full', false, []]);
    alice.host.storage.repair();
    const receipt = alice.room.publish('room again', { qos: 2 });
    await server.until(() => receipt.state === 'stored');
    expect(texts(server)).toEqual(['room again']);
  });

  it('leaves nothing behind after a logout', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    expect(alice.host.storage.size).toBeGreaterThan(0);
    const closed = alice.client.close({ wipe: true });
    await server.advance(5_000);
    await closed;
    expect(alice.host.storage.size).toBe(0);
  });
});

describe('the log', () => {
  it('takes what the backend publishes, and shows who did', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    const seen: unknown[] = [];
    alice.room.on('message', ({ id, user, headers, offset }) => seen.push({ id, user, headers, offset }));
    await server.settle();
    const stored = server.publish('room', { n: 1 }, { id: 'm1', user: 'system', headers: { kind: 'notice' } });
    expect(server.publish('room', { n: 1 }, { id: 'm1', user: 'system', headers: { kind: 'notice' } })).toEqual({
      ...stored,
      duplicate: true,
    });
    await server.settle();
    const headers = { kind: 'notice' };
    expect(seen).toEqual([{ id: 'm1', user: 'system', headers, offset: 1 }]);
    expect(server.messages('room')).toEqual([{ offset: 1, id: 'm1', user: 'system', time: server.now, headers, data: { n: 1 } }]);
  });

  it('carries texts, values and bytes', async () => {
    const server = await start();
    const bytes = new Uint8Array([0, 255, 10, 13]);
    for (const payload of ['naïve ✓', { a: [1, null] }, null, bytes]) server.publish('room', payload);
    const contents = server.messages('room').map(({ text, data, bytes }) => text ?? bytes ?? data);
    expect(contents).toEqual(['naïve ✓', { a: [1, null] }, null, bytes]);
    expect(() => server.publish('room', undefined)).toThrow('undefined');
  });

  it('pages through history', async () => {
    const server = await start();
    const { room } = open(server, 'alice');
    for (let i = 1; i <= 10; i++) server.publish('room', i);
    await server.settle();
    const asked = room.history({ before: 6, limit: 2 });
    await server.settle();
    const page = await asked;
    expect([page.messages.map(({ data }) => data), page.more]).toEqual([[4, 5], true]);
  });

  it('forgets what the rules say, and tells readers that were away too long', async () => {
    const server = await start({ rules: [{ prefix: 'room', maxCount: 3 }] });
    const alice = open(server, 'alice');
    await server.settle();
    server.publish('room', 'seen');
    await server.settle();
    alice.host.offline();
    for (let i = 1; i <= 10; i++) server.publish('room', `${i}`);
    await server.advance(10_000);
    expect(texts(server)).toEqual(['8', '9', '10']);
    alice.host.heal();
    await server.until(() => alice.shown.includes('10'));
    expect([alice.resets, alice.shown]).toEqual([['trimmed'], ['seen', '8', '9', '10']]);
  });

  it('keeps to its limits', async () => {
    const server = await start({ limits: { message: 100, publishRate: 1, publishBurst: 2 } });
    const { room } = open(server, 'alice');
    await server.settle();
    expect(() => room.publish('x'.repeat(101))).toThrow('at most 100');
    const small = ['a', 'b', 'c'].map((text) => room.publish(text));
    await server.settle();
    expect(small.map(({ state }) => state)).not.toEqual(['stored', 'stored', 'stored']);
    await server.until(() => small.every(({ state }) => state === 'stored'));
    expect(texts(server)).toEqual(['a', 'b', 'c']);
  });
});
