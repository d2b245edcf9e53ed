import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Server } from '../kit/server.js';
import { chats, lobby } from './chats.js';
import { chromiumHere, screen } from './page.js';
import { Phone } from './phone.js';
import { serviceLayer } from './service.js';

const example = fileURLToPath(new URL('../../../../examples/chat-uni/', import.meta.url));

let browser: Browser;
let layer: string;
beforeAll(async () => void ([browser, layer] = await Promise.all([chromiumHere(), serviceLayer(example)])));
afterAll(() => browser?.close());

let server: Server;
let phones: Phone[];
const open = async (): Promise<Phone> => {
  const phone = await Phone.start(browser, join(example, 'dist/build/app'), layer, server.url);
  phones.push(phone);
  return phone;
};
beforeEach(async () => {
  phones = [];
  server = await Server.start();
});
afterEach(async () => {
  await Promise.all(phones.map((phone) => phone.close()));
  await server.remove();
});

test('the chat for uni-app, built for apps, runs and talks to the real server', async () => {
  await chats<Phone>(open, screen);
  expect(phones.flatMap(({ said }) => said)).toEqual([]);
});

test('an app that was left, with sockets that died without a word, shows what was written meanwhile', async () => {
  const { enter, say, find } = lobby<Phone>(open, screen);
  const [ann, bo] = [await enter('ann'), await enter('bo')];
  bo.machine.hide();
  bo.machine.suspend(true);
  await say(ann, 'are you there?');
  await find(ann, ({ receipt }) => receipt === 'stored');
  bo.machine.show();
  expect((await find(bo, ({ text }) => text === 'are you there?')).who).toBe('ann');
  await say(bo, 'now I am');
  await find(ann, ({ text }) => text === 'now I am');
});
