import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import puppeteer, { type Browser as Chromium, type CDPSession, type Page as Tab } from 'puppeteer-core';
import { type Browser, Lab, binaries, launch } from './harness.js';
import { Visit, numbers } from './visit.js';

/** What keeps automated pages awake; users' browsers have none of it. */
const awake = [
  '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding',
  '--disable-back-forward-cache',
];

let lab: Lab;
let chromium: Chromium;
let url: string;
let tab: Tab;
let cdp: CDPSession;
let visit: Visit;
/** Puppeteer lets pages be hidden, Playwright does not. */
const browser: Pick<Browser, 'open'> = {
  async open(at) {
    tab = await chromium.newPage();
    cdp = await tab.createCDPSession();
    await tab.goto(at);
    return {
      evaluate: async <T>(expression: string) => (await tab.evaluate(expression)) as T,
      goto: (to) => tab.goto(to).then(() => undefined),
      reload: () => tab.reload().then(() => undefined),
      close: () => tab.close(),
    };
  },
};

beforeAll(async () => {
  lab = await Lab.start();
  lab.serve('/other', { body: '<!doctype html><title>other</title>' });
  url = await lab.page('app.ts');
  chromium = await puppeteer.launch({ executablePath: binaries.chromium, headless: true, args: ['--no-sandbox'], ignoreDefaultArgs: awake });
});
afterAll(async () => {
  await chromium?.close();
  await lab?.close();
});
beforeEach(() => void (visit = new Visit(lab, browser, url)));
afterEach(() => lab.proxy.heal());

/** Puts another tab before the page. */
async function hide(): Promise<void> {
  const other = await chromium.newPage();
  await other.bringToFront();
  await visit.until('app.signals.includes("hidden")');
}

const freeze = (isFrozen: boolean): Promise<unknown> => cdp.send('Page.setWebLifecycleState', { state: isFrozen ? 'frozen' : 'active' });

test('a hidden page gets and sends everything, however late its timers are', async () => {
  await visit.open();
  await visit.publish(0, 2);
  await hide();
  await visit.run('void app.tick()');
  await visit.publish(2, 2);
  await visit.until('app.received.length === 4');
  lab.proxy.cut();
  await visit.run('app.publish(4, 2)');
  await visit.until('app.received.length === 6 && app.stored === 2 && app.ticks.length > 5');
  expect(await visit.run('app.received')).toEqual(numbers(0, 6));
  // The fault was there: timers of 100 ms came once a second.
  const ticks = await visit.run<number[]>('app.ticks');
  expect(ticks.at(-1)! - ticks.at(-2)!).toBeGreaterThan(500);
});

test('a frozen page goes on without a hole when it thaws: still connected, cut off, or after the server came back', async () => {
  await visit.open();
  await visit.publish(0, 2);
  await visit.until('app.received.length === 2');
  await hide();
  const faults = [async () => undefined, async () => lab.proxy.cut(), async () => lab.server.kill().then(() => lab.server.start())];
  for (const [round, fault] of faults.entries()) {
    await freeze(true);
    await fault();
    await visit.publish(2 + 2 * round, 2);
    expect(await visit.run('app.received.length')).toBe(2 + 2 * round);
    await freeze(false);
    await visit.until(`app.received.length === ${4 + 2 * round}`);
  }
  expect(await visit.run('app.received')).toEqual(numbers(0, 8));
  const signals = await visit.run<string[]>('app.signals');
  expect(signals.filter((signal) => signal === 'freeze')).toHaveLength(3);
});

test('a page that comes back by the back button goes on without a hole', async () => {
  const browser = await launch('chromium', { omit: awake });
  try {
    visit = new Visit(lab, browser, url);
    await visit.open();
    await visit.publish(0, 2);
    await visit.until('app.received.length === 2');
    await visit.page.goto(`${lab.origin}/other`);
    await visit.publish(2, 2);
    await visit.tab.goBack({ waitUntil: 'commit' });
    await visit.until('app.received.length === 4');
    expect(await visit.run('app.received')).toEqual(numbers(0, 4));
    // It was the same page, out of the cache, and not one loaded anew.
    expect(await visit.run('app.signals')).toContain('pageshow persisted');
  } finally {
    await browser.close();
  }
});
