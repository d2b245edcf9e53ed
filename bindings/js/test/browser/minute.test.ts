import puppeteer, { type Browser as Chromium } from 'puppeteer-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, Lab, binaries } from './harness.js';
import { Visit, numbers } from './visit.js';

// What takes a browser a minute by its own clock, and cannot be had sooner.
const awake = ['--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding'];

let lab: Lab;
let chromium: Chromium;
let url: string;
beforeAll(async () => {
  lab = await Lab.start();
  url = await lab.page('app.ts');
  chromium = await puppeteer.launch({ executablePath: binaries.chromium, headless: true, args: ['--no-sandbox'], ignoreDefaultArgs: awake, protocolTimeout: 200_000 });
});
afterAll(async () => {
  await chromium?.close();
  await lab?.close();
});

/** Opens the app in a tab, and puts another before it. */
async function hidden(): Promise<{ visit: Visit; freeze(isFrozen: boolean): Promise<unknown> }> {
  const tab = await chromium.newPage();
  const cdp = await tab.createCDPSession();
  const browser: Pick<Browser, 'open'> = {
    async open(at) {
      await tab.goto(at);
      return {
        evaluate: async <T>(expression: string) => (await tab.evaluate(expression)) as T,
        goto: (to) => tab.goto(to).then(() => undefined), reload: () => tab.reload().then(() => undefined), close: () => tab.close(),
      };
    },
  };
  const visit = new Visit(lab, browser, url);
  await visit.open();
  await visit.publish(0, 2);
  await visit.run('app.heard("received", 2)');
  await (await chromium.newPage()).bringToFront();
  await visit.run('app.heard("signals", 2)');
  return { visit, freeze: (isFrozen) => cdp.send('Page.setWebLifecycleState', { state: isFrozen ? 'frozen' : 'active' }) };
}

// What is held here is the wall clock of a frozen page: the minute itself is what is tested.
const passes = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('a page that is frozen for a minute goes on without a hole', { timeout: 200_000 }, async () => {
  const { visit, freeze } = await hidden();
  await freeze(true);
  await visit.publish(2, 2);
  await passes(60_000);
  await visit.publish(4, 2);
  expect(await visit.run('app.received')).toEqual([0, 1]);
  await freeze(false);
  await visit.run('app.heard("received", 6)');
  expect(await visit.run('app.received')).toEqual(numbers(0, 6));
  expect(await visit.run('app.signals')).toContain('resume');
});
