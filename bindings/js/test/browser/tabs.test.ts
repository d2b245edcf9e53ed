import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium, type Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { Server } from '../kit/server.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const script = (url: string): string => `
  import { createClient } from '${here('../../src/index.ts')}';
  import { shareTabs } from '${here('../../src/tabs/index.ts')}';
  const client = createClient({ url: '${url}', token: 'dev:alice', tabs: shareTabs() });
  const room = client.channel('room:tabs', { qos: 2 });
  window.seen = [];
  window.wakes = [];
  room.on('message', (m) => { seen.push(m.text); wakes.splice(0).forEach((wake) => wake()); });
  window.ready = new Promise((resolve) => room.on('subscribed', () => resolve(true)));
  window.has = async (count) => { while (seen.length < count) await new Promise((wake) => wakes.push(wake)); return seen; };
  window.publish = (text) => room.publish(text).stored;
  window.log = async () => (await room.history({ after: 0, limit: 256 })).messages.map((m) => m.text);
`;

test('five tabs of a real browser: the leader crashes, the next one closes; nothing is lost, nothing comes twice', { timeout: 60_000 }, async () => {
  const server = await Server.start();
  const built = await build({
    stdin: { contents: script(server.url), resolveDir: here('.'), loader: 'ts' },
    bundle: true, format: 'esm', write: false, alias: { '#host': here('../../src/host/default.ts') },
  });
  const web = createServer((request, response) => {
    const isScript = request.url === '/app.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? built.outputFiles[0]!.text : '<!doctype html><script type=module src=/app.js></script>');
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const browser = await chromium.launch({ executablePath: process.env['MOORLINE_CHROMIUM'] ?? '/usr/bin/chromium', args: ['--no-sandbox', '--site-per-process'] });
  const context = await browser.newContext();
  const origin = `http://127.0.0.1:${(web.address() as AddressInfo).port}/`;
  const pages: Page[] = [];
  for (let index = 0; index < 5; index++) {
    const page = await context.newPage();
    await page.goto(origin);
    await page.evaluate('ready');
    pages.push(page);
  }
  await pages[4]!.evaluate(`publish('one')`);
  for (const page of pages) expect(await page.evaluate('has(1)')).toEqual(['one']);
  const cdp = await context.newCDPSession(pages[0]!);
  const crashed = new Promise((resolve) => pages[0]!.once('crash', resolve));
  void cdp.send('Page.crash').catch(() => undefined);
  await crashed;
  await pages[3]!.evaluate(`publish('two')`);
  await pages[1]!.close();
  await pages[4]!.evaluate(`publish('three')`);
  const log = await pages[2]!.evaluate('log()');
  expect(log).toEqual(['one', 'two', 'three']);
  for (const page of pages.slice(2)) expect(await page.evaluate('has(3)')).toEqual(log);
  await browser.close();
  web.closeAllConnections();
  web.close();
  await server.remove();
});
