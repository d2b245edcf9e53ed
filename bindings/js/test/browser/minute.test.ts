import puppeteer, { type Browser as Chromium } from 'puppeteer-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, Lab, binaries } from './harness.js';
import { Visit, numbers } from './visit.js';

// What takes a browser a minute by its own clock, and cannot be had sooner.
const awake = ['--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding'];

/** Timers of a page that was hidden so long come once a minute: users' browsers wait 5 minutes before that. */
const intensive = '--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1';

interface Place {
  readonly lab: Lab;
  readonly chromium: Chromium;
  readonly url: string;
}

const places: Place[] = [];
beforeAll(async () => {
  for (const add of [[], [intensive]]) {
    const lab = await Lab.start();
    const args = ['--no-sandbox', ...add];
    const chromium = await puppeteer.launch({ executablePath: binaries.chromium, headless: true, args, ignoreDefaultArgs: awake, protocolTimeout: 300_000 });
    places.push({ lab, chromium, url: await lab.page('app.ts') });
  }
});
afterAll(async () => {
  for (const { lab, chromium } of places) {
    await chromium.close();
    await lab.close();
  }
});

/** Opens the app in a tab, and puts another before it. */
async function hidden({ lab, chromium, url }: Place): Promise<{ visit: Visit; freeze(isFrozen: boolean): Promise<unknown> }> {
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

test.concurrent('a page that is frozen for a minute goes on without a hole', { timeout: 200_000 }, async () => {
  const { visit, freeze } = await hidden(places[0]!);
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

test.concurrent('a hidden page whose timers come once a minute stays connected, hears all at once, and comes back after a cut', { timeout: 300_000 }, async () => {
  const { visit } = await hidden(places[1]!);
  await visit.run('void app.tick()');
  await visit.publish(2, 2);
  await visit.run('app.heard("received", 4)');
  // The server pings every 5 s and gives up after 15 s: many of its deadlines pass between two timers of the page.
  await visit.run('app.late(40_000)');
  expect(await visit.run('app.states')).toEqual(['connecting: requested', 'online: welcome']);
  await visit.publish(4, 2);
  await visit.run('app.heard("received", 6)');
  places[1]!.lab.proxy.cut();
  await visit.run('app.publish(6, 2)');
  await visit.run('app.heard("received", 8)');
  expect(await visit.run('app.received')).toEqual(numbers(0, 8));
  expect(await visit.run('app.client.state')).toBe('online');
});
