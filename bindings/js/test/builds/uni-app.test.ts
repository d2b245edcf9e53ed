import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Server } from '../kit/server.js';
import type { Os } from '../platforms/sim/html5plus.js';
import { chats, lobby } from './chats.js';
import { layer } from './frame.js';
import { chromiumHere, screen } from './page.js';
import { Phone } from './phone.js';

const example = fileURLToPath(new URL('../../../../examples/chat-uni/', import.meta.url));

let browser: Browser;
beforeAll(async () => void (browser = await chromiumHere()));
afterAll(() => browser?.close());

let server: Server;
let phones: Phone[];
const open = async (os: Os = 'Android'): Promise<Phone> => {
  const phone = await Phone.start(browser, server.url, { folder: join(example, 'dist/build/app'), layer, os });
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

test.each(['Android', 'iOS'] as const)('the chat for uni-app, built for apps, runs and talks to the real server, as on %s', async (os) => {
  await chats<Phone>(() => open(os), screen);
  expect(phones.flatMap(({ said }) => said)).toEqual([]);
});

test('an app that was left, with sockets that died without a word, shows what was written meanwhile', async () => {
  const { enter, say, find } = lobby<Phone>(() => open(), screen);
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
