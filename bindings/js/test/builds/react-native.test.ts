import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Server } from '../kit/server.js';
import { Device } from '../platforms/device.js';
import { hermes } from '../platforms/hermes.js';
import { type Item, chats } from './chats.js';

const dist = fileURLToPath(new URL('../../../../examples/chat-react-native/dist/', import.meta.url));
const built = 'ws://127.0.0.1:8000/ws';

let server: Server;
beforeAll(async () => void (server = await Server.start()));
afterAll(() => server.remove());

/** The app in one Hermes: its screen is asked for by messages. */
class Phone {
  private constructor(private readonly device: Device) {}

  static async open(prelude: string): Promise<Phone> {
    const app = readFileSync(`${dist}test/main.bundle.js`, 'utf8').replace(built, server.url);
    return new Phone(await Device.run(`${prelude}\n${app}`, hermes));
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

  close(): void {
    this.device.close();
  }
}

test('the chat for React Native, bundled by Metro, runs in Hermes and talks to the real server', async () => {
  const made = await build({
    entryPoints: [fileURLToPath(new URL('./native.ts', import.meta.url))],
    bundle: true, format: 'iife', target: 'es2018', platform: 'neutral', write: false, logLevel: 'error',
  });
  const phones: Phone[] = [];
  const open = async (): Promise<Phone> => {
    const phone = await Phone.open(made.outputFiles[0]!.text);
    phones.push(phone);
    return phone;
  };
  try {
    await chats(open, {
      isReady: (phone, id) => phone.ask<boolean>('has', id),
      type: (phone, id, text) => phone.ask('type', id, text),
      tap: (phone, id) => phone.ask('tap', id),
      banner: async (phone) => (await phone.ask<string[]>('texts', 'banner'))[0],
      items: (phone) => phone.ask<Item[]>('items'),
    });
  } finally {
    for (const phone of phones) phone.close();
  }
}, 60_000);

test('the whole app compiles to bytecode with the compiler of its React Native', () => {
  const bytecode = readFileSync(`${dist}android/index.bundle.hbc`);
  // The magic number of Hermes bytecode.
  expect(bytecode.subarray(0, 8).toString('hex')).toBe('c61fbc03c103191f');
  expect(bytecode.length).toBeLessThan(3 << 20);
});
