// The console that the server has in its binary, in a real browser.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Client, createClient } from 'moorline';
import { type Browser, type BrowserContext, type Page, chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Server } from '../kit/server.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** A test that waits longer has failed. */
const patience = { timeout: 20_000 };
let server: Server;
let browser: Browser;
/** The cookies of who has logged in with the link, which is good once. */
let state: Awaited<ReturnType<BrowserContext['storageState']>>;
let base: string;
const troubles: string[] = [];
const clients: Client[] = [];

beforeAll(async () => {
  server = await Server.start();
  browser = await chromium.launch({ executablePath: process.env['MOORLINE_CHROMIUM'] ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  const link = await server.console;
  base = `${new URL(link).origin}/console`;
  const context = await browser.newContext();
  const page = watch(await context.newPage());
  await page.goto(link);
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  expect(page.url(), 'the key is not left in the address').not.toContain('key=');
  state = await context.storageState();
  await context.close();
});
afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  await Promise.all(clients.splice(0).map((client) => client.close()));
  expect(troubles.splice(0), 'errors of the page').toEqual([]);
});
afterAll(async () => {
  await browser?.close();
  await server?.remove();
});

function watch(page: Page): Page {
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('console', (message) => void (/Content.Security.Policy/i.test(message.text()) && troubles.push(message.text())));
  return page;
}

/** Opens a page of the console, logged in. */
async function visit(path: string, colorScheme: 'light' | 'dark' = 'light', viewport = { width: 1280, height: 800 }): Promise<Page> {
  const context = await browser.newContext({ viewport, colorScheme, storageState: state });
  const page = watch(await context.newPage());
  await page.goto(`${base}#/${path}`);
  await page.getByRole('navigation', { name: 'Console' }).waitFor();
  return page;
}

function client(user: string): Client {
  const made = createClient({ url: server.url, token: `dev:${user}` });
  clients.push(made);
  return made;
}

/** Publishes through the HTTP API, as a backend does. */
async function publish(message: object): Promise<void> {
  const headers = { authorization: 'Bearer dev', 'content-type': 'application/json' };
  const answer = await fetch(new URL('/v1/apps/default/messages', base), { method: 'POST', headers, body: JSON.stringify(message) });
  expect(answer.status).toBe(200);
}

/** What axe-core finds that keeps people out. */
async function barriers(page: Page): Promise<string[]> {
  const cdp = await page.context().newCDPSession(page);
  // By the protocol: the page forbids `eval`.
  const run = `${axe}; axe.run().then(({ violations }) => violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' ')))`;
  const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', { expression: run, awaitPromise: true, returnByValue: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value as string[];
}

test('a wrong key is refused, by keyboard, and a session that was ended stays out', async () => {
  const context = await browser.newContext();
  const page = watch(await context.newPage());
  await page.goto(base);
  await expect.poll(() => page.evaluate(() => document.activeElement?.id), patience).toBe('key');
  await page.keyboard.type('mlk_wrong');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'This key is not known' }).waitFor();
  expect(await barriers(page)).toEqual([]);
  await context.close();
  const inside = await visit('overview');
  // A session of its own, so that the others stay.
  expect((await inside.context().cookies()).map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite }))).toEqual([
    { name: 'moorline-console', httpOnly: true, sameSite: 'Strict' },
  ]);
  await inside.context().clearCookies();
  await inside.getByRole('heading', { name: 'Log in to the console' }).waitFor();
});

test('the plots move when messages are published', async () => {
  const page = await visit('overview');
  const plot = page.getByRole('img', { name: /^Messages stored per second/ });
  await plot.waitFor();
  const line = plot.locator('path.line');
  await expect.poll(() => plot.getAttribute('aria-label'), patience).toMatch(/most 0$/);
  const before = await line.getAttribute('d');
  for (let at = 0; at < 20; at++) await publish({ channel: 'plots', text: `${at}` });
  await expect.poll(() => plot.getAttribute('aria-label'), patience).toMatch(/most [1-9]/);
  expect(await line.getAttribute('d')).not.toBe(before);
  const row = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: 'default' }) });
  await expect.poll(() => row.getByRole('cell').last().textContent(), patience).not.toBe('0');
});

test('the tail shows what a backend publishes, and what the page publishes arrives at clients', async () => {
  const room = client('alice').channel('room:1', { presence: 'join', state: { mood: 'calm' } });
  const heard: unknown[] = [];
  room.on('message', (message) => heard.push(message.data));
  const page = await visit('channels/default/room%3A1');
  await page.getByRole('status').filter({ hasText: 'live' }).waitFor();
  await publish({ channel: 'room:1', data: { from: 'backend' } });
  await page.getByRole('listitem').filter({ hasText: '{"from":"backend"}' }).waitFor();
  await page.getByLabel('Message', { exact: true }).fill('{"from": "console"}');
  await page.getByRole('button', { name: 'Publish' }).click();
  await page.getByRole('status').filter({ hasText: 'Stored at offset 2.' }).waitFor();
  await page.getByRole('listitem').filter({ hasText: '{"from":"console"}' }).waitFor();
  await expect.poll(() => heard, patience).toEqual([{ from: 'backend' }, { from: 'console' }]);
  const present = page.getByRole('list', { name: 'Who is present' });
  await present.getByRole('listitem').filter({ hasText: 'alice' }).filter({ hasText: '{"mood":"calm"}' }).waitFor();
  await page.getByText('subscribed').filter({ hasText: 'head 2' }).waitFor();
});

test('a user that is disconnected is: by keyboard alone', async () => {
  let tokens = 0;
  // Who is sent away gets no second token.
  const bob = createClient({ url: server.url, token: () => (tokens++ ? new Promise<string>(() => undefined) : Promise.resolve('dev:bob')) });
  clients.push(bob);
  bob.channel('room:2').on('message', () => undefined);
  await bob.connect();
  const page = await visit('connections/default');
  await page.getByRole('searchbox', { name: 'User begins with' }).focus();
  await page.keyboard.type('bob');
  const link = page.getByRole('link', { name: 'bob', exact: true });
  await link.waitFor();
  await link.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'bob' }).waitFor();
  await page.getByRole('link', { name: 'room:2' }).waitFor();
  await page.getByRole('button', { name: 'Disconnect' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  expect(tokens, 'nothing happens without a yes').toBe(1);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('status').filter({ hasText: '1 connection of bob ended.' }).waitFor();
  // Its client wants to come back, and asks for a new token.
  await expect.poll(() => tokens, patience).toBe(2);
  await page.getByText('bob has no connection.').waitFor();
});

const PAGES = ['overview', 'channels/default', 'channels/default/room%3A1', 'connections/default', 'connections/default/carol', 'apps', 'log'];

test.each(['light', 'dark'] as const)('nothing keeps people out and nothing is wider than a phone, in %s', async (scheme) => {
  const carol = client('carol');
  carol.channel('room:1', { presence: 'join' }).on('message', () => undefined);
  await publish({ channel: 'room:1', text: 'a long word '.repeat(40) });
  for (const viewport of [{ width: 1280, height: 800 }, { width: 390, height: 844 }]) {
    const page = await visit('overview', scheme, viewport);
    for (const path of PAGES) {
      await page.evaluate((hash) => void (location.hash = hash), `#/${path}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await page.locator('main :is(.card, .plots)').first().waitFor();
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wider, `${path} at ${viewport.width}`).toBeLessThanOrEqual(0);
      expect(await barriers(page), `${path} at ${viewport.width}`).toEqual([]);
    }
    await page.context().close();
  }
});

// The last one: it ends the session that the others share.
test('whoever logs out is out, also after a reload', async () => {
  const page = await visit('overview');
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('heading', { name: 'Log in to the console' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Log in to the console' }).waitFor();
  // The server has ended it: the cookie alone brings nobody in.
  const context = await browser.newContext({ storageState: state });
  const again = watch(await context.newPage());
  await again.goto(base);
  await again.getByRole('heading', { name: 'Log in to the console' }).waitFor();
});
