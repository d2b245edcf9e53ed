// What receiving costs, and what it must not: texts and records stay as the core said them.
import { afterEach, describe, expect, test } from 'vitest';
import { Client } from '../src/client.js';
import * as inlined from '../src/core/core.gen.js';
import { instantiateInline } from '../src/core/inline.js';
import { Reader } from '../src/core/reader.js';
import { encodeUtf8, readUtf8 } from '../src/core/utf8.js';
import { once as loadOnce } from '../src/core/wasm.js';
import { Writer } from '../src/core/writer.js';
import type { Host } from '../src/host/host.js';
import { nodeHost } from '../src/host/node.js';
import { fresh, kit, once } from './kit/kit.js';

const main = kit();
const open: Client[] = [];
afterEach(() => Promise.all(open.splice(0).map((client) => client.close())));

/** Clients of one core, which counts how often it is run, and whose frames can be held back. */
function page(): { client(user: string): Client; runs(): number; hold(): void; held(): number; release(): void } {
  let runs = 0;
  let isHeld = false;
  const frames: (() => void)[] = [];
  const load = loadOnce(async () => {
    const { exports } = (await instantiateInline(inlined)) as { exports: { run(...args: number[]): number } };
    return { exports: { ...exports, run: (...args: number[]) => (runs++, exports.run(...args)) } };
  });
  const node = nodeHost();
  const host: Host = {
    ...node,
    open: (url, events) => {
      const frame = (data: Uint8Array | string): void => void (isHeld ? frames.push(() => events.frame(data)) : events.frame(data));
      const socket = node.open(url, { ...events, frame });
      // What waits in a socket is told with the next batch: here nothing ever does.
      return { send: socket.send, close: socket.close, buffered: 0 };
    },
  };
  return {
    client(user) {
      const client = new Client({ url: main.server.url, token: `dev:${user}`, compression: false }, { load, host: () => host });
      open.push(client);
      return client;
    },
    runs: () => runs,
    hold: () => void (isHeld = true),
    held: () => frames.length,
    release() {
      isHeld = false;
      for (const feed of frames.splice(0)) feed();
    },
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('receiving', () => {
  test('runs the core once for each frame of those that come at once', async () => {
    const here = page();
    const room = here.client('bob').channel(fresh());
    const seen: unknown[] = [];
    room.on('message', ({ data }) => void seen.push(data));
    await once((handler) => room.on('subscribed', handler));
    const writer = main.client('alice').channel(room.name);
    here.hold();
    for (let i = 0; i < 10; i++) await writer.publish(i).stored;
    while (here.held() < 10) await turn();
    const before = here.runs();
    here.release();
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(here.runs() - before).toBe(10);
  });

  test('leaves the rest of what the core said whole when a handler calls it, or another client does', async () => {
    const here = page();
    const name = fresh();
    const writer = main.client('alice').channel(name);
    const texts = Array.from({ length: 20 }, (_, i) => `${i} ${'long enough to be worth a decoder '.repeat(i)}`);
    for (const text of texts) await writer.publish(text).stored;
    const [bob, carol] = [here.client('bob'), here.client('carol')];
    await Promise.all([bob.connect(), carol.connect()]);
    // All that was said comes in one frame: a page.
    const room = bob.channel(name, { since: 'first' });
    const seen: unknown[] = [];
    const all = new Promise<void>((resolve) => {
      room.on('message', ({ text }) => {
        seen.push(text);
        void bob.channel(`${name}:echo`).publish('x'.repeat(3000));
        void carol.channel(`${name}:echo`).publish('y'.repeat(3000));
        if (seen.length === texts.length) resolve();
      });
    });
    await all;
    expect(seen).toEqual(texts);
  });

  test('acknowledges the last that was handled, of both epochs where there are two', async () => {
    const told: [string, number][] = [];
    const { Reading } = await import('../src/reading.js');
    const calls: ((to: Writer) => void)[] = [];
    const driver = { callLater: (call: (to: Writer) => void) => void calls.push(call) };
    const session = { whenReady: (run: () => void) => run(), subscribe: () => 7, driver };
    const reading = new Reading(session as never, 'room', {} as never);
    for (const [epoch, offset] of [['a', 1], ['a', 3], ['a', 2], ['b', 1], ['b', 2], ['a', 4]] as const) reading.ack({ epoch, offset });
    for (const call of calls) {
      const to = new Writer();
      call(to);
      const from = new Reader(to.view());
      expect([from.byte(), from.number()]).toEqual([7, 7]);
      told.push([from.text(), from.number()]);
    }
    expect(told).toEqual([['a', 3], ['b', 2], ['a', 4]]);
    reading.ack({ epoch: 'a', offset: 5 });
    expect(calls.length).toBe(4);
  });
});

describe('texts', () => {
  test.each([
    '', 'a', 'short', 'a text that is longer than the short ones', 'é', 'grüße aus München, 你好世界 👋🏽 und so weiter', '\ufeffa mark of byte order stays', '你'.repeat(5000), 'x'.repeat(9000),
  ])('%# are as they were', (text) => {
    const bytes = new Uint8Array([1, ...encodeUtf8(text), 2]);
    expect(readUtf8(bytes, 1, bytes.length - 1)).toBe(text);
  });

  test('that look like the last one in their place are told apart', () => {
    const to = new Writer();
    // The bytes of 'é' are the numbers of the characters of 'Ã©'.
    const texts = ['Ã©', 'é!!', 'Ã©', 'é', 'room', 'room', 'roo', 'rooms', 'room', ''];
    for (const text of texts) to.text(text);
    const from = new Reader(to.view());
    expect(texts.map(() => from.again(0))).toEqual(texts);
    const twice = new Reader(new Writer().text('Ã©').blob(Uint8Array.of(0xc3, 0xa9)).view());
    expect([twice.again(1), twice.again(1)]).toEqual(['Ã©', 'é']);
  });
});
