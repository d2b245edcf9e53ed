import { expect, test, vi } from 'vitest';
import { Client } from '../../src/client.js';
import { memory } from '../../src/store/memory.js';
import { Group } from '../../src/tabs/group.js';
import { identify } from '../../src/tabs/identity.js';
import { shareTabs } from '../../src/tabs/share.js';
import { type ToLeader, tabProtocol } from '../../src/tabs/wire.js';
import type { Channel, Message } from '../../src/index.js';
import { fresh, kit } from '../kit/kit.js';
import { join, load, offline } from './clients.js';
import { FakeBrowser, type FakeTab } from './fakes.js';

const main = kit();

/** A page of the app in a tab: a client, and what its channel was handed. */
class Page {
  readonly client: Client;
  readonly room: Channel;
  readonly seen: string[] = [];
  private readonly waits: (() => void)[] = [];

  constructor(readonly tab: FakeTab, channel: string, user = 'alice') {
    this.client = new Client({ url: main.server.url, token: `dev:${user}`, host: tab.host(), tabs: shareTabs() }, { load, host: () => tab.host() });
    this.room = this.client.channel(channel, { qos: 2 });
    this.room.on('message', (message: Message) => {
      this.seen.push(message.text!);
      this.waits.splice(0).forEach((wake) => wake());
    });
  }

  subscribed(): Promise<void> {
    return new Promise((resolve) => void this.room.on('subscribed', () => resolve()));
  }

  async has(count: number): Promise<string[]> {
    while (this.seen.length < count) await new Promise<void>((resolve) => this.waits.push(resolve));
    return this.seen;
  }
}

async function open(count: number, beat?: number): Promise<Page[]> {
  const browser = new FakeBrowser();
  const name = fresh();
  const pages: Page[] = [];
  for (let index = 0; index < count; index++) {
    const tab = browser.tab();
    tab.beat = beat ?? tab.beat;
    const page = new Page(tab, name);
    await page.subscribed();
    pages.push(page);
  }
  return pages;
}

const end = (pages: readonly Page[]): Promise<unknown> => Promise.all(pages.filter((page) => !page.tab.isDead).map((page) => page.client.close()));

/** What the server has stored. */
async function stored(page: Page): Promise<string[]> {
  return (await page.room.history({ limit: 256, after: 0 })).messages.map((message) => message.text!);
}

test('five tabs get what each of them publishes, once', async () => {
  const pages = await open(5);
  for (const [index, page] of pages.entries()) await page.room.publish(`from ${index}`).stored;
  const all = pages.map((_, index) => `from ${index}`);
  for (const page of pages) expect(await page.has(5)).toEqual(all);
  expect(await stored(pages[3]!)).toEqual(all);
  await end(pages);
});

test('the leader crashes with publishes of all tabs under way: nothing is lost, nothing comes twice', async () => {
  const pages = await open(5);
  await pages[0]!.room.publish('before').stored;
  await Promise.all(pages.map((page) => page.has(1)));
  const receipts = pages.slice(1).flatMap((page, index) => [0, 1, 2].map((n) => page.room.publish(`${index}.${n}`)));
  pages[0]!.tab.crash();
  await Promise.all(receipts.map((receipt) => receipt.stored));
  const log = await stored(pages[1]!);
  expect([...log].sort()).toEqual(['before', ...[0, 1, 2, 3].flatMap((tab) => [0, 1, 2].map((n) => `${tab}.${n}`))].sort());
  for (const page of pages.slice(1)) expect(await page.has(log.length)).toEqual(log);
  await end(pages);
});

test('a frozen leader is given up; when it wakes it follows and has missed nothing', async () => {
  const pages = await open(3);
  pages[0]!.tab.freeze();
  await pages[1]!.room.publish('one').stored;
  await pages[2]!.has(1);
  pages[0]!.tab.thaw();
  await pages[0]!.room.publish('two').stored;
  for (const page of pages) expect(await page.has(2)).toEqual(['one', 'two']);
  await end(pages);
});

test('what a full outbox has kept is known to the next leader: it is neither refused nor sent twice', async () => {
  const [browser, name] = [new FakeBrowser(), fresh()];
  const open = (tab: FakeTab): Client => join(tab, main.server.url, { host: offline(tab.host()), outbox: { messages: 3 } });
  const first = browser.tab();
  const leader = open(first);
  await leader.channel(name).publish('of the leader').queued;
  const client = open(browser.tab());
  const receipts = ['a', 'b'].map((text) => client.channel(name).publish(text));
  await Promise.all(receipts.map((receipt) => receipt.queued));
  expect(client.outbox.messages).toBe(3);
  first.crash();
  // What a tab that comes later adopts tells that the new leader was offered everything.
  const late = open(browser.tab());
  late.connect().catch(() => undefined);
  await vi.waitFor(() => expect(late.restored.map(({ channel }) => channel)).toEqual([name]));
  expect(receipts.map(({ state, error }) => [state, error?.code])).toEqual([['queued', undefined], ['queued', undefined]]);
  expect(client.outbox.messages).toBe(3);
  await Promise.all([client.close(), late.close()]);
  const online = join(browser.tab(), main.server.url);
  await online.connect();
  expect(await Promise.all(online.restored.map(async ({ stored }) => (await stored).duplicate))).toEqual([false, false, false]);
  await online.close();
});

test('a tab that comes back to the same leader is one of them again at once, without waiting for a beat', async () => {
  const pages = await open(2, 1_000_000);
  pages[1]!.tab.putAway(true);
  await pages[0]!.room.publish('meanwhile').stored;
  pages[1]!.tab.putAway(false);
  await pages[1]!.has(1);
  await pages[1]!.room.publish('back').stored;
  for (const page of pages) expect(await page.has(2)).toEqual(['meanwhile', 'back']);
  await end(pages);
});

test('what another script of the app posts to the channel is passed over', async () => {
  const browser = new FakeBrowser();
  const [first, second] = [browser.tab(), browser.tab()];
  const clients = [join(first, main.server.url), join(second, main.server.url)];
  for (const client of clients) await client.connect();
  for (const name of second.opened) for (const junk of [null, 7, 'x', {}]) second.host().tabs!()!.open(name, () => undefined).post(junk);
  expect(await clients[1]!.channel(fresh()).publish('x').stored).toMatchObject({ offset: 1 });
  await Promise.all(clients.map((client) => client.close()));
});

test('a leader that closes hands over', async () => {
  const pages = await open(2);
  await pages[0]!.client.close();
  await pages[1]!.room.publish('after').stored;
  expect(await pages[1]!.has(1)).toEqual(['after']);
  await end(pages.slice(1));
});

test('tabs of versions that speak different protocols are strangers: none leads the other, and neither is heard', async () => {
  const browser = new FakeBrowser();
  const told: string[] = [];
  const member = async (name: string, protocol: number | undefined): Promise<Group> => {
    const host = browser.tab().host();
    const env = host.tabs!()!;
    const who = { url: 'ws://moorline.test/ws', user: 'alice', token: undefined, shared: undefined, tab: name };
    const identified = await identify(env, { ...who, store: memory, own: memory, report: (error) => told.push(String(error)) }, protocol);
    const quiet = (): void => undefined;
    const toLeader = (message: ToLeader): void => void told.push(`${name} hears ${message.tab}`);
    const group = new Group(env, host, identified.name, name, { onLead: quiet, onLost: quiet, onLeader: quiet, onBeat: quiet, toLeader, toTabs: quiet });
    group.join();
    return group;
  };
  const groups = [await member('old', undefined), await member('old too', tabProtocol), await member('new', tabProtocol + 1)] as const;
  await vi.waitFor(() => expect(groups.map(({ gen }) => gen > 0)).toEqual([true, true, true]));
  expect(groups.map(({ leads }) => leads)).toEqual([true, false, true]);
  await vi.waitFor(() => expect(told).toContain('old hears old too'));
  expect(told.filter((line) => line.includes('new'))).toEqual([]);
  for (const group of groups) group.part();
});
