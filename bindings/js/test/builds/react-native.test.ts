import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Server } from '../kit/server.js';
import { Device } from '../platforms/device.js';
import { toES5 } from '../platforms/hermes.js';
import { Bytecode, hermesBytecode } from './bytecode.js';
import { type Item, type Screen, chats, lobby } from './chats.js';

const dist = fileURLToPath(new URL('../../../../examples/chat-react-native/dist/android/', import.meta.url));
/** What Hermes bytecode begins with. */
const magic = 'c61fbc03c103191f';

let server: Server;
let bytecode: Bytecode;
beforeAll(async () => {
  server = await Server.start();
  const host = await build({
    entryPoints: [fileURLToPath(new URL('./native/host.ts', import.meta.url))],
    bundle: true, format: 'iife', target: 'es2018', platform: 'neutral', write: false, logLevel: 'error',
  });
  bytecode = await Bytecode.compile(toES5(host.outputFiles[0]!.text), readFileSync(`${dist}index.bundle.js`, 'utf8'));
}, 60_000);
afterAll(() => {
  bytecode?.remove();
  server.remove();
});

const devices: Device[] = [];
afterEach(() => {
  for (const device of devices.splice(0)) device.close();
});

/** The app on one phone: its screen is asked for by messages. */
class Phone {
  private constructor(private readonly device: Device) {}

  static async open(this: void): Promise<Phone> {
    const device = await Device.run(bytecode.file, hermesBytecode);
    devices.push(device);
    const phone = new Phone(device);
    await phone.ask('start', 'MoorlineChat', server.url);
    return phone;
  }

  ask<T>(name: string, ...args: unknown[]): Promise<T> {
    return this.device.step({ name, before: args, step: 0, id: '', places: { origin: '', url: '', proxied: '' } }) as Promise<T>;
  }

  /** Looks again and again; each look is a message there and back. */
  async until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
    }
  }
}

const screen: Screen<Phone> = {
  isReady: (phone, id) => phone.ask<boolean>('has', id),
  type: (phone, id, text) => phone.ask('type', id, text),
  tap: (phone, id) => phone.ask('tap', id),
  banner: async (phone) => (await phone.ask<string[]>('texts', 'banner'))[0],
  items: (phone) => phone.ask<Item[]>('items'),
};

const { enter, say, find } = lobby(Phone.open, screen);

test('the release bundle of the chat runs in Hermes as bytecode and talks to the real server', async () => {
  expect(readFileSync(bytecode.file).subarray(0, 8).toString('hex')).toBe(magic);
  await chats(Phone.open, screen);
});

test('what is written while the server is gone goes out once it is there again', async () => {
  const cy = await enter('cy');
  await server.kill();
  await cy.until(async () => ((await screen.banner(cy))?.startsWith('No connection') ? true : undefined));
  await say(cy, 'later');
  expect((await find(cy, ({ text }) => text === 'later')).receipt).not.toBe('stored');
  await server.start();
  await find(cy, ({ text, receipt }) => text === 'later' && receipt === 'stored');
  expect(await screen.banner(cy)).toMatch(/^Online/);
  // The field was emptied: what is typed now stands alone.
  await say(cy, 'again');
  await find(cy, ({ text, receipt }) => text === 'again' && receipt === 'stored');
});

test('an app that is shown again asks the server for a sign', async () => {
  const dee = await enter('dee');
  await dee.ask('hide');
  const before = await dee.ask<number>('sent');
  await dee.ask('show');
  await dee.until(async () => ((await dee.ask<number>('sent')) > before ? true : undefined));
});

test('the same bundle compiles to bytecode with the compiler of its React Native', () => {
  const compiled = readFileSync(`${dist}index.bundle.hbc`);
  expect(compiled.subarray(0, 8).toString('hex')).toBe(magic);
  expect(compiled.length).toBeLessThan(3 << 20);
});
