// The chat of examples/chat-web, as the server shows it, in a real browser.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContext, type CDPSession, type Page, chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Server } from '../kit/server.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let server: Server;
let browser: Browser;
const troubles: string[] = [];

beforeAll(async () => {
  server = await Server.start();
  browser = await chromium.launch({ executablePath: process.env['MOORLINE_CHROMIUM'] ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
});
afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  expect(troubles.splice(0), 'errors of the page').toEqual([]);
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

interface Person {
  readonly page: Page;
  readonly cdp: CDPSession;
}

/** Opens the chat as somebody, in a browser profile of its own. */
async function person(name: string, colorScheme: 'light' | 'dark' = 'light', viewport = { width: 1280, height: 800 }): Promise<Person> {
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await tab(context, name);
  return { page, cdp: await context.newCDPSession(page) };
}

/** Opens the chat as somebody, in one more tab of a browser profile. */
async function tab(context: BrowserContext, name: string): Promise<Page> {
  const page = await context.newPage();
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('console', (message) => void (/Content.Security.Policy/i.test(message.text()) && troubles.push(message.text())));
  await page.goto(server.url.replace(/^ws/, 'http').replace(/ws$/, ''));
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Start chatting' }).click();
  await page.getByRole('heading', { name: 'lobby' }).waitFor();
  return page;
}

async function open(page: Page, room: string): Promise<void> {
  await page.getByLabel('Name of a room').fill(room);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: room }).waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel(/^Message to/).fill(text);
  await page.keyboard.press('Enter');
}

/** What axe-core finds that keeps people out. */
async function barriers({ cdp }: Person): Promise<string[]> {
  // By the protocol: the page forbids `eval`.
  const run = `${axe}; axe.run().then(({ violations }) => violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' ')))`;
  const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', { expression: run, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value as string[];
}

const entry = (page: Page, text: string) => page.getByRole('listitem').filter({ hasText: text });

test('two people see each other, type, and write; receipts and unread counts tell', async () => {
  const [{ page: alice }, { page: bob }] = [await person('alice'), await person('bob')];
  await alice.getByRole('complementary', { name: 'People here' }).getByText('bob').waitFor();
  await bob.getByLabel(/^Message to/).pressSequentially('h');
  await alice.getByText('bob is typing').waitFor();
  await say(alice, 'hello bob');
  await entry(bob, 'hello bob').waitFor();
  await entry(alice, 'hello bob').getByText('stored').waitFor();
  await open(bob, 'elsewhere');
  await say(alice, 'are you there?');
  await bob.getByText('1 unread').waitFor();
  await bob.getByRole('link', { name: /lobby/ }).click();
  await entry(bob, 'are you there?').waitFor();
  await expect.poll(() => bob.getByText('1 unread').count()).toBe(0);
});

/** Tells, in a page, whether a store in IndexedDB has a text in one of its entries. */
function isKept({ database, text }: { database: string; text: string }): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(database);
    opening.onerror = () => reject(opening.error!);
    opening.onsuccess = () => {
      const { result } = opening;
      const values = result.objectStoreNames.contains('entries') ? result.transaction('entries').objectStore('entries').getAll() : undefined;
      if (!values) return result.close(), resolve(false);
      values.onsuccess = () => {
        result.close();
        resolve(values.result.some((value) => value instanceof Uint8Array && new TextDecoder().decode(value).includes(text)));
      };
    };
  });
}

test('what is written offline waits, and arrives once, over a restart and a reload', async () => {
  const [{ page: alice }, { page: bob }] = [await person('alice'), await person('bob')];
  await Promise.all([open(alice, 'offline'), open(bob, 'offline')]);
  await say(alice, 'before');
  await entry(bob, 'before').waitFor();
  await entry(alice, 'before').getByText('stored').waitFor();
  await server.kill();
  await alice.getByRole('status').filter({ hasText: 'You are offline' }).waitFor();
  await say(alice, 'while offline');
  await entry(alice, 'while offline').getByText('waiting').waitFor();
  await alice.getByText('1 message waits').waitFor();
  await expect.poll(() => alice.evaluate(isKept, { database: 'moorline-chat-alice', text: 'while offline' })).toBe(true);
  // The page is gone before the server is back: only what is on the disk can arrive.
  const room = alice.url();
  await alice.goto('about:blank');
  await server.start();
  await alice.goto(room);
  await entry(bob, 'while offline').waitFor();
  await entry(alice, 'while offline').waitFor();
  await say(bob, 'after');
  await entry(alice, 'after').waitFor();
  expect(await entry(bob, 'while offline').count()).toBe(1);
  expect(await entry(alice, 'while offline').count()).toBe(1);
});

test('an address that can be no room is the lobby', async () => {
  const { page } = await person('alice');
  for (const name of ['a*b', 'x'.repeat(200), '%']) {
    await page.goto(`${page.url().split('#')[0]!}#/${name}`);
    await page.reload();
    await page.getByRole('heading', { name: 'lobby' }).waitFor();
  }
});

test('a draft is its writer\'s, and gone with a sign-out', async () => {
  const { page } = await person('alice');
  const field = page.getByLabel(/^Message to/);
  await field.fill('secret draft');
  await page.reload();
  await expect.poll(() => field.inputValue()).toBe('secret draft');
  for (const name of ['bob', 'alice']) {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Your name').fill(name);
    await page.getByRole('button', { name: 'Start chatting' }).click();
    await page.getByRole('heading', { name: 'lobby' }).waitFor();
    expect(await field.inputValue()).toBe('');
  }
});

test('a draft is not that of a user and a room that are spelt alike', async () => {
  const { page } = await person('a.b');
  await open(page, 'c');
  const field = page.getByLabel(/^Message to/);
  await field.fill('secret draft');
  const other = await tab(page.context(), 'a');
  await open(other, 'b.c');
  expect(await other.getByLabel(/^Message to/).inputValue()).toBe('');
  await other.getByRole('button', { name: 'Sign out' }).click();
  await other.getByLabel('Your name').waitFor();
  await page.reload();
  await expect.poll(() => field.inputValue()).toBe('secret draft');
});

test.each([
  ['rooms', 390, /Show the list of rooms/],
  ['people', 900, /people here, show them/],
] as const)('a panel of %s is closed where the page becomes wide enough for it', async (panel, width, name) => {
  const { page } = await person('alice', 'light', { width, height: 844 });
  await page.getByRole('button', { name }).click();
  await page.getByRole('dialog').waitFor();
  await page.setViewportSize({ width: 1280, height: 844 });
  await expect.poll(() => page.locator('main[inert]').count()).toBe(0);
  await say(page, `free of ${panel}`);
  await entry(page, `free of ${panel}`).waitFor();
});

test('a panel over the room keeps the keyboard', async () => {
  const { page } = await person('alice', 'light', { width: 390, height: 844 });
  await page.getByRole('button', { name: 'Show the list of rooms' }).click();
  const dialog = page.getByRole('dialog', { name: 'Rooms' });
  await dialog.waitFor();
  for (let presses = 0; presses < 12; presses++) {
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement!.closest('main') === null)).toBe(true);
  }
});

test('a long room is read back by keyboard and scrolling, without losing the place', async () => {
  const { page } = await person('alice');
  await open(page, 'long');
  for (let at = 1; at <= 70; at++) await say(page, `message ${at}.`);
  await entry(page, 'message 70.').getByText('stored').waitFor();
  await page.reload();
  await entry(page, 'message 70.').waitFor();
  expect(await entry(page, 'message 1.').count()).toBe(0);
  await page.getByRole('log').focus();
  await page.keyboard.press('Home');
  await entry(page, 'message 1.').waitFor({ state: 'attached' });
  const top = await page.getByRole('log').evaluate((log) => log.scrollTop);
  expect(top, 'what was read stays in view').toBeGreaterThan(100);
  // Nor when others go on writing.
  const { page: bob } = await person('bob');
  await open(bob, 'long');
  await page.getByRole('log').evaluate((log) => (log.scrollTop = 400));
  const seen = entry(page, 'message 15.');
  const { y } = (await seen.boundingBox())!;
  for (let at = 71; at <= 80; at++) await say(bob, `message ${at}.`);
  await page.getByRole('button', { name: '10 new' }).waitFor();
  expect((await seen.boundingBox())!.y).toBe(y);
  await page.getByRole('button', { name: '10 new' }).click();
  await expect.poll(() => entry(page, 'message 80.').isVisible()).toBe(true);
});

test.each(['light', 'dark'] as const)('nothing keeps people out, at both widths, in %s', async (scheme) => {
  for (const viewport of [{ width: 1280, height: 800 }, { width: 390, height: 844 }]) {
    const alice = await person('alice', scheme, viewport);
    await say(alice.page, 'hello');
    await alice.page.getByText('stored').first().waitFor();
    expect(await barriers(alice), `${viewport.width}`).toEqual([]);
    if (viewport.width > 700) continue;
    await alice.page.getByRole('button', { name: 'Show the list of rooms' }).click();
    expect(await barriers(alice), 'the rooms').toEqual([]);
    await alice.page.keyboard.press('Escape');
    const isBack = (): Promise<string | null> => alice.page.evaluate(() => document.activeElement!.getAttribute('aria-label'));
    expect(await isBack(), 'the focus is where it was').toBe('Show the list of rooms');
  }
});
