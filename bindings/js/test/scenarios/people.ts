import type { MemberChange, Status } from 'moorline';
import { type Scenario, once } from './world.js';

export const people: Record<string, Scenario> = {
  'shows who joins, changes and leaves': {
    steps: [
      async (world) => {
        const name = world.channel();
        const watcher = world.client('bob').channel(name, { presence: 'watch' });
        const changes: MemberChange[] = [];
        watcher.presence.on('change', (change) => changes.push(...change));
        await once((handler) => watcher.on('subscribed', handler));
        const until = async (count: number): Promise<void> => {
          while (changes.length < count) await once((handler) => watcher.presence.on('change', handler));
        };
        const alice = world.client('alice').channel(name, { presence: 'join', state: { nick: 'Al' } });
        alice.on('subscribed', () => undefined);
        await until(1);
        await alice.presence.update({ nick: 'Bo' });
        await until(2);
        const [member] = watcher.presence.members;
        await alice.presence.leave();
        await until(3);
        const page = await world.client('carol').channel(name).presence.page();
        return {
          changes: changes.map(({ event }) => event), state: member!.state, isAlice: member!.user === world.user('alice'),
          now: watcher.presence.source.current, page: page.count,
        };
      },
    ],
    expected: { changes: ['join', 'update', 'leave'], state: { nick: 'Bo' }, isAlice: true, now: { count: 0, list: [] }, page: 0 },
  },
  'tells who is online, once and from now on': {
    steps: [
      async (world) => {
        const bob = world.client('bob');
        const dora = world.user('dora');
        const asked = (await bob.status([dora]))[dora];
        const told = once((handler) => bob.on('status', handler));
        bob.watchStatus([dora]);
        await told;
        const came = once<[Readonly<Record<string, Status>>]>((handler) => bob.on('status', handler));
        await world.client('dora').connect();
        const [users] = await came;
        return { asked, online: users[dora]!.online };
      },
    ],
    expected: { asked: { online: false }, online: true },
  },
};
