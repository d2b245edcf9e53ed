import { expect, test, vi } from 'vitest';
import type { Channel, ChannelOptions, Client } from '../../src/index.js';
import { fresh, kit } from '../kit/kit.js';
import { join, subscribed } from './clients.js';
import { FakeBrowser, type FakeTab } from './fakes.js';

const main = kit();

interface Opened { readonly tab: FakeTab; readonly client: Client; readonly room: Channel }

async function open(browser: FakeBrowser, channel: string, options: ChannelOptions = { presence: 'watch' }): Promise<Opened> {
  const tab = browser.tab();
  const client = join(tab, main.server.url);
  const room = client.channel(channel, options);
  await subscribed(room);
  return { tab, client, room };
}

/** The members of a channel, with their states, as the server has them. */
async function members(channel: string): Promise<unknown[]> {
  const { members } = await main.client('watcher').channel(channel).presence.page();
  return members.map(({ user, state }) => [user, state]);
}
const eventually = (channel: string, expected: unknown[]): Promise<void> => vi.waitFor(async () => expect(await members(channel)).toEqual(expected));

test('who has left a channel is not made a member again by the next leader', async () => {
  const [browser, channel] = [new FakeBrowser(), fresh()];
  const leader = await open(browser, fresh());
  const { client, room } = await open(browser, channel);
  await room.presence.enter(1);
  await eventually(channel, [['alice', 1]]);
  room.leave();
  await eventually(channel, []);
  const again = client.channel(channel, { presence: 'watch' });
  await subscribed(again);
  leader.tab.crash();
  // It goes to the new leader after all that counts.
  await again.publish('x').stored;
  expect(await members(channel)).toEqual([]);
  await client.close();
});

test('a member is one no longer than a tab that has entered, while others watch', async () => {
  const [browser, channel] = [new FakeBrowser(), fresh()];
  const watching = await open(browser, channel);
  const [first, second] = [await open(browser, channel), await open(browser, channel)];
  await first.room.presence.enter('first');
  await second.room.presence.enter('second');
  await eventually(channel, [['alice', 'second']]);
  await second.room.presence.leave();
  await eventually(channel, [['alice', 'first']]);
  await first.client.close();
  await eventually(channel, []);
  await Promise.all([watching.client.close(), second.client.close()]);
});

test('a member whose reader ends while another tab watches has left', async () => {
  const [browser, channel] = [new FakeBrowser(), fresh()];
  const [watching, entered] = [await open(browser, channel), await open(browser, channel)];
  await entered.room.presence.enter(1);
  await eventually(channel, [['alice', 1]]);
  entered.room.leave();
  await eventually(channel, []);
  await Promise.all([watching.client.close(), entered.client.close()]);
});

test('whoever left and came while the leader changed is told in each tab', async () => {
  const [browser, channel] = [new FakeBrowser(), fresh()];
  const leader = await open(browser, channel);
  const guests = ['bob', 'carol'].map((user) => main.client(user));
  const rooms = guests.map((guest) => guest.channel(channel, { presence: 'join' }));
  await Promise.all(rooms.map(subscribed));
  const tabs = [await open(browser, channel), await open(browser, channel)];
  const told = tabs.map(({ room }) => {
    const present = new Set(room.presence.members.map(({ user }) => user));
    room.presence.on('change', (changes) => changes.forEach(({ event, user }) => (event === 'join' ? present.add(user) : event === 'leave' && present.delete(user))));
    return present;
  });
  await vi.waitFor(() => expect(told.map((present) => [...present].sort())).toEqual([['bob', 'carol'], ['bob', 'carol']]));
  // All of it happens before any tab hears of it.
  for (const { tab } of tabs) tab.freeze();
  leader.tab.crash();
  await guests[0]!.close();
  const dave = main.client('dave');
  await subscribed(dave.channel(channel, { presence: 'join' }));
  await eventually(channel, [['carol', undefined], ['dave', undefined]]);
  for (const { tab } of tabs) tab.thaw();
  await vi.waitFor(() => expect(told.map((present) => [...present].sort())).toEqual([['carol', 'dave'], ['carol', 'dave']]), 5000);
  await Promise.all(tabs.map(({ client }) => client.close()));
});
