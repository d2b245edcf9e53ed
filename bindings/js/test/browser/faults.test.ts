import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Browser, Lab, launch } from './harness.js';
import { Visit, numbers } from './visit.js';

let lab: Lab;
let browser: Browser;
let visit: Visit;
beforeAll(async () => {
  lab = await Lab.start();
  browser = await launch('chromium');
  url = await lab.page('app.ts');
});
let url: string;
beforeEach(() => void (visit = new Visit(lab, browser, url)));
afterEach(async () => {
  await visit.page.close();
  lab.proxy.heal();
});
afterAll(async () => {
  await browser?.close();
  await lab?.close();
});

/** Cuts the browser off; an open WebSocket stays open, and nothing passes. */
const offline = (isOffline: boolean): Promise<unknown> =>
  visit.cdp.send('Network.emulateNetworkConditions', { offline: isOffline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });

test('offline and online again: nothing is lost, nothing comes twice', async () => {
  await visit.open();
  await visit.cdp.send('Network.enable');
  await offline(true);
  await visit.until('app.signals.includes("offline")');
  await visit.run('app.publish(0, 3)');
  await visit.until('app.kept.length === 3');
  await visit.publish(100, 2);
  expect(await visit.run('app.stored')).toBe(0);
  expect((await visit.log()).data).toEqual([100, 101]);
  await offline(false);
  await visit.until('app.received.length === 5 && app.stored === 3');
  expect(await visit.run('app.received')).toEqual([100, 101, 0, 1, 2]);
  expect((await visit.log()).data).toEqual([100, 101, 0, 1, 2]);
});

/** What the log must say after a page came to an end while it sent. */
async function expectWhole(kept: readonly string[], published: number): Promise<void> {
  const { ids, data } = await visit.log();
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.filter((id) => kept.includes(id))).toEqual(kept);
  // What was handed over and not yet kept may be there or not; what is there is a beginning, in order.
  expect(data).toEqual(numbers(0, data.length));
  expect(data.length).toBeLessThanOrEqual(published);
}

test('a reload in the middle of sending loses nothing that was kept', async () => {
  await visit.open();
  lab.proxy.delay(100);
  await visit.run('app.publish(0, 400)');
  await visit.until('app.kept.length > 200 && app.stored > 0');
  const kept = await visit.run<string[]>('app.kept');
  expect(await visit.run('app.stored')).toBeLessThan(400);
  await visit.page.reload();
  lab.proxy.heal();
  await visit.start();
  expect(await visit.run('app.drain()')).toBeGreaterThan(0);
  await expectWhole(kept, 400);
});

test('a tab that crashes in the middle of sending loses nothing that was kept', async () => {
  await visit.open();
  lab.proxy.delay(100);
  await visit.run('app.publish(0, 400)');
  await visit.until('app.kept.length > 200 && app.stored > 0');
  const kept = await visit.run<string[]>('app.kept');
  const crashed = visit.tab.waitForEvent('crash');
  visit.cdp.send('Page.crash').catch(() => undefined);
  await crashed;
  await visit.page.close();
  lab.proxy.heal();
  await visit.open();
  expect(await visit.run('app.drain()')).toBeGreaterThan(0);
  await expectWhole(kept, 400);
});

test('a full storage fails the publishes that need it, says so, and keeps the others', async () => {
  // An origin of its own: the browser remembers for a while how much room an origin has.
  const small = await Lab.start();
  visit = new Visit(small, browser, await small.page('app.ts'));
  visit.page = await browser.open(await small.page('app.ts'));
  await visit.cdp.send('Storage.overrideQuotaForOrigin', { origin: small.origin, quotaSize: 200_000 });
  await visit.start();
  small.proxy.refuse();
  await visit.run('app.publish(0, 6, "x".repeat(50_000))');
  await visit.until('app.kept.length + app.failed.length === 6');
  const { kept, failed } = await visit.run<{ kept: string[]; failed: string[] }>('({ kept: app.kept, failed: app.failed })');
  expect(new Set(failed)).toEqual(new Set(['storage.full']));
  expect(kept.length).toBeGreaterThan(0);
  // With room again they go out.
  await visit.cdp.send('Storage.overrideQuotaForOrigin', { origin: small.origin });
  small.proxy.heal();
  await visit.until(`app.stored === ${kept.length}`);
  expect((await visit.log()).ids).toEqual(kept);
  await small.close();
});

test('a storage that is cleared fails what comes next, and the next page begins anew', async () => {
  await visit.open();
  await visit.run('app.publish(0, 1)');
  await visit.until('app.stored === 1');
  await visit.cdp.send('Storage.clearDataForOrigin', { origin: lab.origin, storageTypes: 'indexeddb' });
  await visit.run('app.publish(1, 1)');
  await visit.until('app.failed.length === 1');
  expect(await visit.run('app.failed')).toEqual(['storage.unavailable']);
  await visit.page.reload();
  await visit.start();
  await visit.run('app.publish(2, 1)');
  await visit.until('app.stored === 1');
  expect((await visit.log()).data).toEqual([0, 2]);
});
