import 'fake-indexeddb/auto';
import { expect, test } from 'vitest';
import type { Client, ClientOptions } from '../../src/index.js';
import { indexedDb } from '../../src/store/indexeddb.js';
import { fresh, kit } from '../kit/kit.js';
import { join, offline, subscribed } from './clients.js';
import { FakeBrowser } from './fakes.js';

const main = kit();
let databases = 0;
const database = (): string => `tabs-${++databases}`;

test('a store that two users pass is a store for each: what one has kept, the other does not send', async () => {
  const [browser, name, channel] = [new FakeBrowser(), database(), fresh()];
  const as = (user: string, options: Partial<ClientOptions> = {}): Client =>
    join(browser.tab(), main.server.url, { token: `dev:${user}`, store: indexedDb({ name }), ...options });
  const alice = as('alice', { host: offline(browser.tab().host()) });
  const secret = alice.channel(channel).publish('of alice');
  await secret.queued;
  await alice.close();
  const bob = as('bob');
  await bob.channel(channel).publish('of bob').stored;
  const { messages } = await bob.channel(channel).history({ after: 0 });
  expect(messages.map(({ user, text }) => [user, text])).toEqual([['bob', 'of bob']]);
  const again = as('alice');
  await again.connect();
  expect(again.restored.map(({ id }) => id)).toEqual([secret.id]);
  await again.restored[0]!.stored;
  await Promise.all([bob.close(), again.close()]);
});

test.each([
  ['a client for itself', [true, false]],
  ['a client for itself that was first', [false, true]],
  ['those of another server', [true, true]],
] as const)('tabs that share a passed store live beside %s', async (_, shared) => {
  const [browser, name, channel] = [new FakeBrowser(), database(), fresh()];
  const urls = [main.server.url, main.server.url.replace('127.0.0.1', 'localhost')];
  const clients: Client[] = [];
  for (const [index, isShared] of shared.entries()) {
    const client = join(browser.tab(), urls[index]!, { store: indexedDb({ name }), ...(isShared ? {} : { tabs: () => undefined }) });
    await subscribed(client.channel(channel));
    clients.push(client);
  }
  for (const client of [...clients, ...clients]) await client.channel(channel).publish('x').stored;
  expect(clients.map(({ state }) => state)).toEqual(['online', 'online']);
  await Promise.all(clients.map((client) => client.close()));
});
