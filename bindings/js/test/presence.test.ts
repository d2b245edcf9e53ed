import { describe, expect, test } from 'vitest';
import type { MemberChange, Status } from '../src/index.js';
import { fresh, kit, once } from './kit/kit.js';

const { client } = kit();

describe('presence', () => {
  test('shows who joins, changes and leaves', async () => {
    const name = fresh();
    const watcher = client('bob').channel(name, { presence: 'watch' });
    const changes: MemberChange[] = [];
    watcher.presence.on('change', (change) => changes.push(...change));
    await once((handler) => watcher.on('subscribed', handler));
    const until = async (count: number): Promise<void> => {
      while (changes.length < count) await once((handler) => watcher.presence.on('change', handler));
    };
    const alice = client('alice').channel(name, { presence: 'join', state: { nick: 'Al' } });
    alice.on('subscribed', () => undefined);
    await until(1);
    expect(watcher.presence.members).toEqual([{ user: 'alice', state: { nick: 'Al' }, since: expect.any(Number) as number }]);
    expect(watcher.presence.count).toBe(1);
    await alice.presence.update({ nick: 'Bo' });
    await until(2);
    expect(watcher.presence.members[0]).toMatchObject({ state: { nick: 'Bo' } });
    await alice.presence.leave();
    await until(3);
    expect(changes.map(({ event }) => event)).toEqual(['join', 'update', 'leave']);
    expect(watcher.presence.source.current).toEqual({ count: 0, list: [] });
    await alice.presence.enter();
    await until(4);
    expect(watcher.presence.members.map(({ user }) => user)).toEqual(['alice']);
    expect(await client('carol').channel(name).presence.page()).toMatchObject({ count: 1, members: [{ user: 'alice' }] });
    expect(() => watcher.presence.on('changed' as 'change', () => undefined)).toThrow(/there is no event/);
    await expect(alice.presence.update('x'.repeat(5000))).rejects.toMatchObject({ code: 'request.malformed' });
  });

  test('shows a second handle who is there, without waiting for a change', async () => {
    const [name, bob] = [fresh(), client('bob')];
    const alice = client('alice').channel(name, { presence: 'join', state: { nick: 'Al' } });
    await once((handler) => alice.on('subscribed', handler));
    const first = bob.channel(name, { presence: 'watch' });
    const told: [readonly MemberChange[], boolean][] = [];
    const begins = once((handler) => first.presence.on('change', handler));
    first.presence.on('change', (changes, { snapshot }) => told.push([changes, snapshot]));
    await begins;
    const second = bob.channel(name, { presence: 'watch' });
    const [changes, info] = await once<[readonly MemberChange[], { snapshot: boolean; count: number }]>((handler) => second.presence.on('change', handler));
    expect(second.presence.members).toEqual(first.presence.members);
    expect(second.presence.members).toMatchObject([{ user: 'alice', state: { nick: 'Al' } }]);
    expect([changes, info]).toEqual([[{ event: 'join', user: 'alice', state: { nick: 'Al' } }], { snapshot: true, count: 1 }]);
    // The first one was told once.
    expect(told).toEqual([[changes, true]]);
  });

  test('tells who is online, once and from now on', async () => {
    const bob = client('bob');
    expect(await bob.status(['nobody', '__proto__'])).toEqual(Object.assign(Object.create(null) as object, { nobody: { online: false }, ['__proto__']: { online: false } }));
    const seen: Record<string, Status>[] = [];
    bob.on('status', (users) => seen.push({ ...users }));
    const told = once((handler) => bob.on('status', handler));
    bob.watchStatus(['dora']);
    await told;
    const came = once((handler) => bob.on('status', handler));
    await client('dora').connect();
    expect((await came)[0]).toMatchObject({ dora: { online: true, since: expect.any(Number) as number } });
    expect(seen[0]).toEqual({ dora: { online: false } });
  });
});
