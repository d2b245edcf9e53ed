import { createClient } from 'moorline';
import { type TestServer, createTestServer } from 'moorline/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { Chat } from '../src/chat.js';

let server: TestServer;
beforeEach(async () => {
  server = await createTestServer();
});
afterEach(() => server.stop());

function open(user: string, token: string = server.token(user)) {
  const host = server.host();
  const client = createClient({ url: server.url, token, host });
  return { client, host, chat: new Chat(client, 'kitchen', user) };
}

const texts = (chat: Chat) => chat.lines.map(({ from, text, mark }) => `${from}: ${text} (${mark})`);

it('shows what others write', async () => {
  const [alice, bob] = [open('alice'), open('bob')];
  await server.settle();
  bob.chat.say('Is there coffee?');
  await server.settle();
  expect(texts(alice.chat)).toEqual(['bob: Is there coffee? (none)']);
  expect(texts(bob.chat)).toEqual(['bob: Is there coffee? (sent)']);
});

it('says that it is offline, and sends later what was written meanwhile, once', async () => {
  const [alice, bob] = [open('alice'), open('bob')];
  await server.settle();
  alice.host.offline();
  await server.settle();
  expect(alice.chat.banner).toContain('Offline');
  alice.chat.say('In the tunnel');
  await server.advance(600_000);
  expect(texts(alice.chat)).toEqual(['alice: In the tunnel (waiting)']);
  alice.host.heal();
  await server.until(() => alice.chat.banner === '');
  await server.settle();
  expect(texts(alice.chat)).toEqual(['alice: In the tunnel (sent)']);
  expect(texts(bob.chat)).toEqual(['alice: In the tunnel (none)']);
  expect(server.messages('kitchen')).toHaveLength(1);
});

it('does not show a line twice whose receipt was lost on the way', async () => {
  const [alice, bob] = [open('alice'), open('bob')];
  await server.settle();
  server.delay(200, alice.client);
  alice.chat.say('Twice?');
  await server.advance(300); // It is on the server; the answer is under way.
  server.cut(alice.client);
  await server.until(() => alice.chat.lines[0]?.mark === 'sent');
  expect(texts(bob.chat)).toEqual(['alice: Twice? (none)']);
});

it('asks for a new login when the token is not good', async () => {
  const { chat } = open('alice', 'not a token');
  await server.settle();
  expect(chat.banner).toBe('Please log in again.');
});

it('shows that somebody has gone, some time after the connection broke', async () => {
  const [alice, bob] = [open('alice'), open('bob')];
  await server.advance(1_000);
  expect(alice.chat.people).toEqual(['alice', 'bob']);
  bob.host.offline();
  await server.advance(10_000);
  expect(alice.chat.people).toEqual(['alice', 'bob']);
  await server.advance(10_000);
  expect(alice.chat.people).toEqual(['alice']);
});

it('shows a gap when the server has lost its messages', async () => {
  const { chat } = open('alice');
  server.publish('kitchen', 'Welcome', { user: 'host' });
  await server.settle();
  expect(chat.hasGap).toBe(false);
  server.restart({ keep: false });
  await server.until(() => chat.hasGap);
  expect(texts(chat)).toEqual(['host: Welcome (none)']);
});
