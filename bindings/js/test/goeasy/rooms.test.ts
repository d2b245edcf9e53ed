import { describe, expect, test } from 'vitest';
import type { GoEasyMessage, PresenceEvent } from '../../src/goeasy/types.js';
import { fresh } from '../kit/kit.js';
import { FaultProxy } from '../kit/proxy.js';
import { Inbox, ended, lasting, people, said, subscribed } from './people.js';

const on = people();
const { goEasy, connected } = on;

const watched = async (one: Awaited<ReturnType<typeof connected>>, channel: string): Promise<Inbox<PresenceEvent>> => {
  const events = new Inbox<PresenceEvent>();
  await ended((callbacks) => one.pubsub.subscribePresence({ channel, onPresence: events.take, ...callbacks }));
  return events;
};
const contents = (messages: readonly GoEasyMessage[]): string[] => messages.map(({ content }) => content);
const who = (events: readonly PresenceEvent[]): string[] => events.map(({ action, member }) => `${action} ${member.id}`);

describe('one client', () => {
  const orders = [
    ['subscribes, then watches', ['read', 'watch']],
    ['watches, then subscribes', ['watch', 'read']],
    ['joins, then watches', ['join', 'watch']],
    ['watches, then joins', ['watch', 'join']],
    ['subscribes, then joins', ['read', 'join']],
    ['joins, then subscribes', ['join', 'read']],
    ['subscribes, watches and joins', ['read', 'watch', 'join']],
  ] as const;

  test.each(orders)('%s, and has each message and each change once', async (_name, steps) => {
    const channel = fresh();
    const [alice, bob] = [await connected('alice'), await connected('bob')];
    const seen = await watched(bob, channel);
    let inbox = new Inbox<GoEasyMessage>();
    let events: Inbox<PresenceEvent> | undefined;
    for (const step of steps) {
      const saying = said(bob, channel, `before ${step}`);
      if (step === 'watch') events = await watched(alice, channel);
      else inbox = await subscribed(alice, channel, step === 'join' ? { presence: { enable: true } } : {});
      await saying;
    }
    await said(bob, channel, 'hi');
    const heard = contents(await inbox.until(() => contents(inbox.all).includes('hi')));
    expect(heard).toEqual([...new Set(heard)]);
    await subscribed(bob, channel, { presence: { enable: true } });
    const isMember = (steps as readonly string[]).includes('join');
    expect(who(await seen.until(isMember ? 2 : 1))).toEqual(isMember ? ['join alice', 'join bob'] : ['join bob']);
    await events?.until(() => who(events.all).includes('join bob'));
    expect(who(events?.all ?? []).filter((change) => change === 'join bob')).toHaveLength(events ? 1 : 0);
  });

  test('misses nothing and gets nothing twice while it begins to watch', async () => {
    const channel = fresh();
    const [alice, bob] = [await connected('alice'), await connected('bob')];
    const inbox = await subscribed(alice, channel);
    const all = [...Array(20).keys()].map(String);
    const saying = Promise.all(all.map((text) => said(bob, channel, text)));
    await inbox.until(1);
    await watched(alice, channel);
    await subscribed(alice, channel, { onMessage: inbox.take, presence: { enable: true } });
    await saying;
    await said(bob, channel, 'end');
    expect(contents(await inbox.until(21))).toEqual([...all, 'end']);
  });

  test('sees itself come and go where it watches', async () => {
    const channel = fresh();
    const alice = await connected('alice');
    const events = await watched(alice, channel);
    await subscribed(alice, channel, { presence: { enable: true } });
    expect(who(await events.until(1))).toEqual(['join alice']);
    alice.pubsub.unsubscribe({ channel });
    expect(who(await events.until(2))).toEqual(['join alice', 'leave alice']);
    expect(events.all[1]).toMatchObject({ amount: 0, members: [] });
  });

  test('is told who came and went while it was away', async () => {
    const channel = fresh();
    const proxy = await FaultProxy.start(Number(new URL(on.server.url).port));
    const host = on.server.url.replace(/:\d+/, `:${proxy.port}`);
    const [alice, bob, carol] = [await connected('alice', { host, client: { backoff: { min: 10, max: 20 } } }), await connected('bob'), await connected('carol')];
    const events = await watched(alice, channel);
    await subscribed(bob, channel, { presence: { enable: true } });
    await events.until(1);
    proxy.refuse();
    await ended((callbacks) => bob.pubsub.unsubscribe({ channel, ...callbacks }));
    const seen = await watched(carol, channel);
    await subscribed(carol, channel, { presence: { enable: true } });
    await seen.until(() => who(seen.all).includes('join carol'));
    proxy.heal();
    expect(who(await events.until(3))).toEqual(['join bob', 'leave bob', 'join carol']);
    expect(events.all[2]).toMatchObject({ amount: 1, members: [{ id: 'carol', data: { name: 'carol' } }] });
    alice.disconnect();
    await proxy.close();
  });

  test('reads on where it does not watch any more, and watches on where it does not read', async () => {
    const channel = fresh();
    const [alice, bob] = [await connected('alice'), await connected('bob')];
    const inbox = await subscribed(alice, channel);
    const events = await watched(alice, channel);
    await ended((callbacks) => alice.pubsub.unsubscribePresence({ channel, ...callbacks }));
    await said(bob, channel, '1');
    await inbox.until(1);
    const again = await watched(alice, channel);
    await ended((callbacks) => alice.pubsub.unsubscribe({ channel, ...callbacks }));
    await said(bob, channel, '2');
    await subscribed(bob, channel, { presence: { enable: true } });
    expect(who(await again.until(1))).toEqual(['join bob']);
    expect([contents(inbox.all), events.all]).toEqual([['1'], []]);
  });
});

describe('a refusal', () => {
  test('of one channel takes nothing along that was subscribed before', async () => {
    const [room, other] = [fresh(), fresh()];
    const kept = new Map<string, Uint8Array>();
    const client = { store: lasting(kept) };
    const [alice, bob] = [await connected('alice', { client }), await connected('bob')];
    const inbox = await subscribed(alice, room);
    const refused = new Inbox<GoEasyMessage>();
    const call = ended((callbacks) => alice.pubsub.subscribe({ channels: [other, room, '@bob'], onMessage: refused.take, ...callbacks }));
    await expect(call).rejects.toMatchObject({ code: 401 });
    await said(bob, room, 'heard');
    await said(bob, other, 'unheard');
    expect(contents(await inbox.until(1))).toEqual(['heard']);
    // Nor its place in the channel: what is said to those who are away is still there.
    await ended((callbacks) => alice.disconnect(callbacks));
    await said(bob, room, 'waits', { qos: 1 });
    const back = await connected('alice', { client: { store: lasting(kept) } });
    expect(contents(await (await subscribed(back, room)).until(1))).toEqual(['waits']);
    expect(refused.all).toEqual([]);
  });

  test('of watching leaves the reading of those who wait for it', async () => {
    const alice = await connected('alice');
    const calls = await Promise.allSettled([
      ended((callbacks) => alice.pubsub.subscribe({ channel: '@bob', onMessage: () => undefined, ...callbacks })),
      ended((callbacks) => alice.pubsub.subscribePresence({ channel: '@bob', onPresence: () => undefined, ...callbacks })),
    ]);
    expect(calls.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(ended((callbacks) => alice.pubsub.unsubscribe({ channel: '@bob', ...callbacks }))).rejects.toMatchObject({ code: 400 });
  });
});

describe('every call ends', () => {
  test('two subscribes at once, of which the later one gets the messages', async () => {
    const channel = fresh();
    const alice = await connected('alice');
    const [first, second] = [new Inbox<GoEasyMessage>(), new Inbox<GoEasyMessage>()];
    const calls = [first, second].map(({ take }) => ended((callbacks) => alice.pubsub.subscribe({ channel, onMessage: take, ...callbacks })));
    expect(await Promise.all(calls)).toEqual([{ code: 200, content: 'ok' }, { code: 200, content: 'ok' }]);
    await said(alice, channel, 'hi');
    expect(contents(await second.until(1))).toEqual(['hi']);
    expect(first.all).toEqual([]);
  });

  test('two subscribePresence at once, also over several channels', async () => {
    const [one, two] = [fresh(), fresh()];
    const alice = await connected('alice');
    const watch = (channels: string[]): Promise<unknown> => ended((callbacks) => alice.pubsub.subscribePresence({ channels, onPresence: () => undefined, ...callbacks }));
    expect(await Promise.all([watch([one, two]), watch([one]), watch([two, one])])).toHaveLength(3);
  });

  test('a subscribe that is unsubscribed at once fails', async () => {
    const channel = fresh();
    const alice = await connected('alice');
    const call = ended((callbacks) => alice.pubsub.subscribe({ channel, onMessage: () => undefined, ...callbacks }));
    const undo = ended((callbacks) => alice.pubsub.unsubscribe({ channel, ...callbacks }));
    await expect(call).rejects.toMatchObject({ code: 408, content: expect.stringContaining('unsubscribed') as string });
    await undo;
  });

  test('what waits for a connection that ends fails', async () => {
    const alice = goEasy({ host: 'ws://127.0.0.1:9' });
    alice.connect({ id: 'alice' });
    const channel = fresh();
    const calls = [
      ended((callbacks) => alice.pubsub.subscribe({ channel, onMessage: () => undefined, ...callbacks })),
      ended((callbacks) => alice.pubsub.subscribePresence({ channel, onPresence: () => undefined, ...callbacks })),
      ended((callbacks) => alice.pubsub.history({ channel, ...callbacks })),
    ].map((call) => expect(call).rejects.toMatchObject({ code: 408 }));
    alice.disconnect();
    await Promise.all(calls);
  });

  test('a handler that throws is not told twice', async () => {
    const channel = fresh();
    const alice = await connected('alice');
    await subscribed(alice, channel);
    const told: string[] = [];
    const onSuccess = (): void => {
      told.push('onSuccess');
      throw new Error('mine');
    };
    expect(() => alice.pubsub.unsubscribe({ channel, onSuccess, onFailed: () => told.push('onFailed') })).toThrow('mine');
    expect(told).toEqual(['onSuccess']);
  });
});

describe('members', () => {
  test('who changes is no news: two devices of a user come and go', async () => {
    const channel = fresh();
    const alice = await connected('alice');
    const events = await watched(alice, channel);
    const enable = { presence: { enable: true } };
    const [phone, desk] = [await connected('bob', {}, { on: 'phone' }), await connected('bob', {}, { on: 'desk' })];
    await subscribed(phone, channel, enable);
    await events.until(1);
    await subscribed(desk, channel, enable);
    await subscribed(await connected('carol'), channel, enable);
    await events.until(2);
    await ended((callbacks) => desk.pubsub.unsubscribe({ channel, ...callbacks }));
    await ended((callbacks) => phone.pubsub.unsubscribe({ channel, ...callbacks }));
    expect(who(await events.until(3))).toEqual(['join bob', 'join carol', 'leave bob']);
  });

  test('are all who subscribe with an id, where that is so since 2.6', async () => {
    const channel = fresh();
    const alice = await connected('alice');
    const here = (): Promise<unknown> => ended((callbacks) => alice.pubsub.hereNow({ channels: [channel], ...callbacks }));
    await subscribed(await connected('bob'), channel);
    expect(await here()).toMatchObject({ content: { channels: { [channel]: { userAmount: 0 } } } });
    const everyoneIsMember = true;
    await subscribed(await connected('carol', { everyoneIsMember }), channel);
    await subscribed(await connected('dave', { everyoneIsMember }), channel, { presence: { enable: false } });
    const nobody = goEasy({ everyoneIsMember });
    nobody.connect({});
    await subscribed(nobody, channel);
    expect(await here()).toMatchObject({ content: { channels: { [channel]: { userAmount: 1 } } } });
  });
});
