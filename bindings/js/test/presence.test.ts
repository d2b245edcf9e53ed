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
