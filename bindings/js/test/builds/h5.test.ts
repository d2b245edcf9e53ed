import { type Server as HttpServer, createServer } from 'node:http';
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, test } from 'vitest';
import { Server } from '../kit/server.js';
import { chats } from './chats.js';
import { Tab, chromiumHere, screen } from './page.js';

const examples = fileURLToPath(new URL('../../../../examples/', import.meta.url));
const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json' };

let browser: Browser;
beforeAll(async () => void (browser = await chromiumHere()));
afterAll(() => browser?.close());

describe.each(['chat-uni/dist/build/h5', 'chat-taro/dist/h5'])('%s, in Chromium', (folder) => {
  let server: Server;
  let files: HttpServer;
  beforeEach(async () => {
    server = await Server.start();
    files = createServer((request, response) => {
      const path = join(examples, folder, normalize(decodeURIComponent(request.url!.split('?')[0]!)).replace(/\/$/, '/index.html'));
      if (!existsSync(path) || !statSync(path).isFile()) return void response.writeHead(404).end();
      response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' }).end(readFileSync(path));
    });
    await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    files.close();
    await server.remove();
  });

  test('talks to the real server', async () => {
    const open = async (): Promise<Tab> => {
      const context = await browser.newContext({ viewport: { width: 390, height: 800 } });
      const page = await context.newPage();
      // Where the build thinks its server is, there is this one.
      await page.addInitScript((url) => {
        const Real = WebSocket;
        Object.assign(window, { WebSocket: class extends Real { constructor(to: string, protocols?: string[]) { super(to.replace('ws://127.0.0.1:8000/ws', url), protocols); } } });
      }, server.url);
      await page.goto(`http://127.0.0.1:${(files.address() as AddressInfo).port}/`);
      return new Tab(page);
    };
    await chats(open, screen);
  });
});
