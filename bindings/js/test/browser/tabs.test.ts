import puppeteer, { type Browser as Chromium, type CDPSession, type Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Lab, binaries } from './harness.js';
import { Elsewhere } from './visit.js';

/** What keeps automated pages awake; users' browsers have none of it. */
const awake = ['--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-back-forward-cache'];

let lab: Lab;
let chromium: Chromium;
let url: string;
const open: Tab[] = [];

beforeAll(async () => {
  lab = await Lab.start();
  lab.serve('/other', { body: '<!doctype html><title>other</title>' });
  url = await lab.page('tabs-app.ts');
  const args = ['--no-sandbox', '--site-per-process'];
  chromium = await puppeteer.launch({ executablePath: binaries.chromium, headless: true, args, ignoreDefaultArgs: awake, protocolTimeout: 120_000 });
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((tab) => tab.page.close().catch(() => undefined)));
  lab.proxy.heal();
});
afterAll(async () => {
  await chromium?.close();
  await lab?.close();
});

/** A tab with the app of `tabs-app.ts`. */
class Tab {
  private constructor(
    readonly page: Page,
    readonly cdp: CDPSession,
  ) {}

  static async open(of: Elsewhere, place = url, at = lab): Promise<Tab> {
    const page = await chromium.newPage();
    const tab = new Tab(page, await page.createCDPSession());
    open.push(tab);
    // Those that are open are hidden from now on, as in a user's browser: only hidden pages can be frozen.
    await page.bringToFront();
    await page.goto(place);
    await tab.start(of, at);
    return tab;
  }

  start(of: Elsewhere, at = lab): Promise<unknown> {
    return this.run(`app.start(${JSON.stringify({ url: at.proxied, user: of.user, channel: of.channel })})`);
  }

  run<T>(expression: string): Promise<T> {
    return this.page.evaluate(expression) as Promise<T>;
  }

  until(expression: string): Promise<unknown> {
    return this.run(`app.until(() => ${expression})`);
  }

  /** Publishes, and waits until it is stored. */
  async publish(text: string): Promise<void> {
    await this.run(`app.publish(${JSON.stringify(text)})`);
    await this.until(`app.states[${JSON.stringify(text)}] === 'stored'`);
  }

  seen(): Promise<string[]> {
    return this.run('app.seen');
  }

  freeze(isFrozen: boolean): Promise<unknown> {
    return this.cdp.send('Page.setWebLifecycleState', { state: isFrozen ? 'frozen' : 'active' });
  }

  async crash(): Promise<void> {
    const crashed = new Promise((resolve) => this.page.once('error', resolve));
    this.cdp.send('Page.crash').catch(() => undefined);
    await crashed;
  }
}

async function five(of: Elsewhere): Promise<Tab[]> {
  const tabs: Tab[] = [];
  for (let index = 0; index < 5; index++) tabs.push(await Tab.open(of));
  return tabs;
}

/** Every tab has been handed what the log has, each once and in order. */
async function expectLog(of: Elsewhere, tabs: readonly Tab[]): Promise<unknown[]> {
  const { data } = await of.log();
  for (const tab of tabs) {
    await tab.until(`app.seen.length >= ${data.length}`);
    expect(await tab.seen()).toEqual(data);
  }
  return data;
}

const ends = {
  closes: (tab: Tab) => tab.page.close(),
  crashes: (tab: Tab) => tab.crash(),
  freezes: (tab: Tab) => tab.freeze(true),
};

describe.each(['closes', 'crashes', 'freezes'] as const)('the leader of five tabs %s', (end) => {
  test.each(['persist', 'send', 'receipt'] as const)('before the %s of what it and another tab publish', { timeout: 60_000 }, async (step) => {
    const of = new Elsewhere(lab);
    const tabs = await five(of);
    const [leader, second, third, ...rest] = tabs as [Tab, Tab, Tab, ...Tab[]];
    await third.publish('before');
    for (const tab of tabs) await tab.until('app.seen.length === 1');

    await leader.run(`app.hold('${step}')`);
    await second.run(`app.publish('other')`);
    // It has come as far as that, and no further.
    await leader.until(step === 'receipt' ? 'app.held.length > 0' : `app.held.join().includes('other')`);
    await leader.run(`app.publish('own')`);
    if (step !== 'persist') await leader.until(`app.states.own === 'kept'`);
    if (step !== 'persist') await second.until(`app.states.other !== 'queued'`);
    if (step !== 'receipt') expect((await of.log()).data).toEqual(['before']);
    const isKept = step !== 'persist';
    expect(await leader.run('app.states.own')).not.toBe('stored');
    await ends[end](leader);

    await second.until(`app.states.other === 'stored'`);
    await third.publish('after');
    const others = [second, third, ...rest];
    if (end === 'freezes') {
      // What it held back when it fell asleep goes out now, and counts for nothing.
      await leader.freeze(false);
      expect(await leader.run('app.signals')).toContain('freeze');
      await leader.run('app.release()');
      await leader.until(`app.states.own === 'stored'`);
      others.unshift(leader);
    }
    const log = await expectLog(of, others);
    expect(log.filter((text) => text !== 'own')).toEqual(['before', 'other', 'after']);
    const own = log.filter((text) => text === 'own').length;
    expect(own).toBeLessThanOrEqual(1);
    if (isKept || end === 'freezes') expect(own).toBe(1);
  });
});

test('a logout in one tab ends the clients of all, and nothing of the user stays', async () => {
  const of = new Elsewhere(lab);
  const tabs = await five(of);
  await tabs[4]!.publish('before');
  lab.proxy.refuse();
  await tabs[0]!.run('app.publish("unsent")');
  await tabs[0]!.until(`app.states.unsent === 'kept'`);
  await tabs[3]!.run('app.client.close({ wipe: true })');
  for (const tab of tabs) await tab.until('app.closed !== undefined');
  expect(await tabs[1]!.run(`app.entries(${JSON.stringify(of.user)})`)).toEqual(['!owner']);
  lab.proxy.heal();
  await tabs[1]!.page.reload();
  await tabs[1]!.start(of);
  await tabs[1]!.publish('after');
  expect((await of.log()).data).toEqual(['before', 'after']);
});

test('users do not mix: tabs of two share nothing but the channel', async () => {
  const [alice, bob] = [new Elsewhere(lab), new Elsewhere(lab)];
  const both = new Elsewhere(lab, bob.user, alice.channel);
  const tabs = [await Tab.open(alice), await Tab.open(both), await Tab.open(alice)];
  for (const [index, tab] of tabs.entries()) await tab.publish(`from ${index}`);
  await expectLog(alice, tabs);
  for (const tab of tabs) await tab.until('app.members.length === 2');
  const users = await Promise.all(tabs.map((tab) => tab.run('app.client.user')));
  expect(users).toEqual([alice.user, bob.user, alice.user]);
  await tabs[0]!.run('app.client.close({ wipe: true })');
  await tabs[2]!.until('app.closed !== undefined');
  await tabs[1]!.publish('still');
  expect(await tabs[1]!.run('app.closed')).toBe(undefined);
});

test('who is there is known in each tab, also after the leader crashed and in a tab that comes later', async () => {
  const of = new Elsewhere(lab);
  const tabs = await five(of);
  const names = '[...app.members].map((member) => member.user).sort().join()';
  for (const tab of tabs) await tab.until(`${names} === '${of.user}'`);
  await tabs[0]!.crash();
  const guest = await Tab.open(new Elsewhere(lab, `guest-${of.user}`, of.channel));
  const all = [`guest-${of.user}`, of.user].sort().join();
  for (const tab of [...tabs.slice(1), guest]) await tab.until(`${names} === '${all}'`);
  const late = await Tab.open(of);
  await late.until(`${names} === '${all}'`);
  await guest.page.close();
  for (const tab of [...tabs.slice(1), late]) await tab.until(`${names} === '${of.user}'`);
});

test('without room the publishes of every tab fail with storage.full, and reading goes on', async () => {
  const small = await Lab.start();
  const place = await small.page('tabs-app.ts');
  const of = new Elsewhere(small);
  // Before anything is stored: the browser remembers for a while how much room an origin has.
  const page = await chromium.newPage();
  const cdp = await page.createCDPSession();
  await cdp.send('Storage.overrideQuotaForOrigin', { origin: small.origin, quotaSize: 200_000 });
  const tabs = [await Tab.open(of, place, small), await Tab.open(of, place, small)];
  small.proxy.refuse();
  for (const tab of tabs) await tab.run(`[0, 1, 2, 3].forEach((n) => app.publish(String(n), 'x'.repeat(50_000)))`);
  for (const tab of tabs) await tab.until(`[0, 1, 2, 3].every((n) => app.states[n] !== 'queued')`);
  const states = await Promise.all(tabs.map((tab) => tab.run<string[]>('[0, 1, 2, 3].map((n) => app.states[n])')));
  const kept = states.flat().filter((state) => state === 'kept').length;
  expect(new Set(states.flat())).toEqual(new Set(['kept', 'storage.full']));
  await cdp.send('Storage.overrideQuotaForOrigin', { origin: small.origin });
  small.proxy.heal();
  await tabs[1]!.publish('after');
  const log = await expectLog(of, tabs);
  expect(log).toHaveLength(kept + 1);
  await page.close();
  await small.close();
});

test('a storage that is cleared under all tabs loses nothing that a tab still waits for', async () => {
  const own = await Lab.start();
  const place = await own.page('tabs-app.ts');
  const of = new Elsewhere(own);
  const tabs = [await Tab.open(of, place, own), await Tab.open(of, place, own)];
  await tabs[1]!.publish('before');
  own.proxy.refuse();
  for (const [index, tab] of tabs.entries()) {
    await tab.run(`app.publish('kept ${index}')`);
    await tab.until(`app.states['kept ${index}'] === 'kept'`);
  }
  await tabs[0]!.cdp.send('Storage.clearDataForOrigin', { origin: own.origin, storageTypes: 'indexeddb' });
  own.proxy.heal();
  await tabs[0]!.run(`app.publish('new')`);
  for (const text of ['kept 0', 'new']) await tabs[0]!.until(`app.states['${text}'] === 'stored'`);
  await tabs[1]!.until(`app.states['kept 1'] === 'stored'`);
  expect([...(await expectLog(of, tabs))].sort()).toEqual(['before', 'kept 0', 'kept 1', 'new']);
  await own.close();
});

test('a leader that goes into the back/forward cache hands over, and comes back as one of the others', async () => {
  const of = new Elsewhere(lab);
  const [leader, second] = [await Tab.open(of), await Tab.open(of)];
  await second.publish('before');
  await leader.until('app.seen.length === 1');
  await leader.page.goto(`${lab.origin}/other`);
  await second.publish('meanwhile');
  const back = leader.page.waitForNavigation({ waitUntil: 'load' }).catch(() => undefined);
  await leader.page.goBack({ waitUntil: [] }).catch(() => undefined);
  void back;
  await leader.until('app.signals.includes("pageshow persisted")');
  await leader.publish('again');
  expect(await expectLog(of, [leader, second])).toEqual(['before', 'meanwhile', 'again']);
});

test('a logout reaches tabs that are frozen, and those in the back/forward cache', async () => {
  const of = new Elsewhere(lab);
  const [frozen, resting, here] = [await Tab.open(of), await Tab.open(of), await Tab.open(of)];
  await here.publish('before');
  await resting.page.goto(`${lab.origin}/other`);
  await frozen.freeze(true);
  await here.run('app.client.close({ wipe: true })');
  await frozen.freeze(false);
  await frozen.until('app.closed !== undefined');
  await resting.page.goBack({ waitUntil: [] }).catch(() => undefined);
  await resting.page.waitForFunction('globalThis.app && document.readyState === "complete"');
  // Chromium drops such a page, and loads it anew; a browser that keeps it ends its client.
  await resting.until('app.client === undefined || app.closed !== undefined');
  expect(await here.run(`app.entries(${JSON.stringify(of.user)})`)).toEqual(['!owner']);
});
