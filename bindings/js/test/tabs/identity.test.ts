import { expect, test, vi } from 'vitest';
import { memory } from '../../src/store/memory.js';
import { createTestServer } from '../../src/testing/index.js';
import { type Identity, holderOf, identify } from '../../src/tabs/identity.js';
import type { Host } from '../../src/host/host.js';
import type { TabEnvironment } from '../../src/tabs/environment.js';
import { fresh, kit } from '../kit/kit.js';
import { join } from './clients.js';
import { FakeBrowser, type FakeTab } from './fakes.js';

const main = kit();
const jwt = (claims: object): string => `e30.${btoa(JSON.stringify(claims)).replace(/=/g, '')}.c2ln`;
const environment = (): TabEnvironment => new FakeBrowser().tab().host().tabs!()!;
const who = (more: Partial<Identity>): Identity => ({
  url: 'ws://moorline.test/ws', user: undefined, token: undefined, shared: undefined, tab: 'a', store: memory, own: memory, report: () => undefined, ...more,
});

test('a token says who it is for, or nothing does: whole tokens are not compared', () => {
  expect([null, undefined].map(holderOf)).toEqual(['', '']);
  expect(holderOf(jwt({ sub: 'ünïcode?', aud: 'shop' }))).toBe(holderOf(jwt({ aud: 'shop', sub: 'ünïcode?', exp: 1 })));
  expect(holderOf(jwt({ sub: 'alice' }))).not.toBe(holderOf(jwt({ sub: 'bob' })));
  expect(holderOf('dev:alice')).toBe('dev:alice');
  expect(['sid-31d4d96e', 'a.b.c', '..', jwt({ exp: 1 }), jwt({ sub: 7 }), 7, {}].map(holderOf)).toEqual(Array<undefined>(7).fill(undefined));
});

test('with a token that names nobody a tab is for itself, and says so, unless the app names the user', async () => {
  const reported: unknown[] = [];
  let asked = 0;
  const token = (): string => `sid-${++asked}`;
  const report = (error: unknown): void => void reported.push(error);
  const alone = await identify(environment(), who({ token, report }));
  expect(reported).toEqual([expect.objectContaining({ code: 'request.malformed', message: expect.stringContaining('shareTabs(user)') as string })]);
  expect(alone.name).toBe('alone');
  // The one it has is the first that is used, and a later one is not taken for another user's.
  expect([await alone.token!({ reason: 'connect' }), await alone.token!({ reason: 'expiring' })]).toEqual(['sid-1', 'sid-2']);
  const named = await Promise.all(['sid-3', 'sid-4'].map((text) => identify(environment(), who({ token: () => text, user: 'alice', report }))));
  expect(named[0]!.name).toMatch(/^moorline-1-/);
  expect(named[1]!.name).toBe(named[0]!.name);
  expect(reported).toHaveLength(1);
});

test('a token that was fetched to know who it is for is not used when it has become old', async () => {
  let [now, asked] = [0, 0];
  const found = await identify({ ...environment(), now: () => now }, who({ token: () => jwt({ sub: 'alice', jti: ++asked }) }));
  now = 3_600_000;
  expect(await found.token!({ reason: 'connect' })).toBe(jwt({ sub: 'alice', jti: 2 }));
});

/** A device in virtual time, in a tab. */
function device(host: Host, tab: FakeTab): Host {
  return {
    name: 'browser', open: (url, events) => host.open(url, events), now: () => host.now(), wall: () => host.wall!(), timer: (ms, fire) => host.timer(ms, fire),
    random: (into) => host.random(into), signals: (emit) => host.signals!(emit), report: () => undefined,
    store: (name) => tab.host().store!(name), tabs: () => tab.host().tabs!(),
  };
}

test('what is kept under a token that names nobody goes out after a reload', async () => {
  const server = await createTestServer();
  const [browser, host] = [new FakeBrowser(), server.host()];
  const open = (): ReturnType<typeof join> => join(browser.tab(), server.url, { host: device(host, browser.tab()), token: () => server.token('alice') });
  const until = (check: () => void): Promise<unknown> => vi.waitFor(async () => {
    await server.advance(100);
    check();
  });
  host.offline();
  const first = open();
  const receipt = first.channel('room').publish('waits');
  await until(() => expect(receipt.isKept).toBe(true));
  void first.close();
  await until(() => expect(first.state).toBe('closed'));
  host.heal();
  const second = open();
  second.connect().catch(() => undefined);
  await until(() => expect(server.messages('room').map(({ text }) => text)).toEqual(['waits']));
  void second.close();
  server.stop();
});

test('a provider that fails is told before anybody leads, and asked again', async () => {
  let asked = 0;
  const token = (): string => {
    if (++asked === 1) throw new Error('no token server');
    return 'dev:alice';
  };
  const client = join(new FakeBrowser().tab(), main.server.url, { token });
  const seen: unknown[] = [];
  client.on('state', (state, { kind, error }) => seen.push([state, kind, error?.message, client.connection.current.state]));
  await client.connect();
  expect(seen[0]).toEqual(['connecting', 'token', 'no token server', 'connecting']);
  expect(asked).toBe(2);
  await client.close();
});

test('what was published before the first token is kept by a client that closes meanwhile', async () => {
  const [browser, channel] = [new FakeBrowser(), fresh()];
  let answer!: (token: string) => void;
  const token = (): Promise<string> => new Promise((resolve) => (answer = resolve));
  const client = join(browser.tab(), main.server.url, { token });
  const receipt = client.channel(channel).publish('early');
  const closed = client.close();
  answer('dev:alice');
  await closed;
  await expect(receipt.queued).resolves.toBe(undefined);
  const next = join(browser.tab(), main.server.url);
  expect((await next.channel(channel).publish('later').stored).offset).toBe(2);
  expect(next.restored.map(({ id }) => id)).toEqual([receipt.id]);
  await next.close();
});

test('a page whose locks are denied is for itself', async () => {
  const host = new FakeBrowser().tab().host();
  const env = host.tabs!()!;
  const denied = (): Promise<never> => Promise.reject(new DOMException('Access to the Locks API is denied in this context.', 'SecurityError'));
  const client = join(new FakeBrowser().tab(), main.server.url, { host: { ...host, tabs: () => ({ ...env, locks: { request: denied, query: denied } }) } });
  expect(await client.channel(fresh()).publish('x').stored).toMatchObject({ offset: 1 });
  await client.close();
});
