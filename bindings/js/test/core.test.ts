import { afterEach, expect, test } from 'vitest';
import { Client } from '../src/client.js';
import * as inlined from '../src/core/core.gen.js';
import { instantiateInline } from '../src/core/inline.js';
import { once as loadOnce } from '../src/core/wasm.js';
import { nodeHost } from '../src/host/node.js';
import { memory } from '../src/store/memory.js';
import { fresh, kit } from './kit/kit.js';

const main = kit();
const open: Client[] = [];
afterEach(() => Promise.all(open.splice(0).map((client) => client.close())));

/** `(module (func (export "trap") unreachable))` */
const trapping = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 8, 1, 4, 116, 114, 97, 112, 0, 0, 10, 5, 1, 3, 0, 0, 11);

/** A page whose core traps on demand, and counts how often one is started. */
async function page(): Promise<{ client(user: string, closed?: () => void): Client; trap(): void; starts(): number }> {
  const { trap } = (await WebAssembly.instantiate(trapping)).instance.exports as { trap(): void };
  let [starts, isDue] = [0, false];
  const load = loadOnce(async () => {
    starts++;
    const { exports } = (await instantiateInline(inlined)) as { exports: { run(...args: number[]): number } };
    const run = (...args: number[]): number => {
      if (isDue) {
        isDue = false;
        trap();
      }
      return exports.run(...args);
    };
    return { exports: { ...exports, run } };
  });
  return {
    client(user, closed = () => undefined) {
      const store = { ...memory(), close: closed };
      const client = new Client({ url: main.server.url, token: `dev:${user}`, store }, { load, host: nodeHost });
      open.push(client);
      return client;
    },
    trap: () => void (isDue = true),
    starts: () => starts,
  };
}

const failed = expect.objectContaining({ name: 'MoorlineError', code: 'client.runtime', origin: 'client', message: expect.stringMatching(/unreachable.*make new ones/) as string }) as Error;

test('a core that traps ends every client of the page with an error that says so, and a new client gets a new core', async () => {
  const made = await page();
  const released: string[] = [];
  const [alice, bob] = ['alice', 'bob'].map((user) => made.client(user, () => released.push(user))) as [Client, Client];
  const name = fresh();
  const [room, other] = [alice.channel(name), bob.channel(name)];
  const reading = other.messages()[Symbol.asyncIterator]().next();
  const states: unknown[] = [];
  bob.on('state', (state, { kind, error }) => state === 'closed' && states.push([kind, error?.code]));
  await Promise.all([alice.connect(), bob.connect()]);
  await room.publish('before').stored;
  expect((await reading).value).toMatchObject({ text: 'before' });
  const waits = other.messages()[Symbol.asyncIterator]().next();
  const asked = bob.status(['alice']);

  made.trap();
  expect(() => room.publish('now')).toThrow(failed);
  await expect(waits).rejects.toThrow(failed);
  await expect(asked).rejects.toThrow(failed);
  for (const client of [alice, bob]) {
    expect(client.connection.current).toEqual({ state: 'closed', cause: failed });
    await expect(client.connect()).rejects.toThrow(failed);
    expect(() => client.channel(name).publish('after')).toThrow(failed);
  }
  expect(states).toEqual([['runtime', 'client.runtime']]);
  expect(released.sort()).toEqual(['alice', 'bob']);

  const again = made.client('alice');
  await again.channel(name).publish('again').stored;
  expect((await again.channel(name).history({ after: 0 })).messages.map(({ text }) => text)).toEqual(['before', 'again']);
  expect(made.starts()).toBe(2);
});

test('a trap while a client is made ends that client alone with the same error', async () => {
  const made = await page();
  const alice = made.client('alice');
  made.trap();
  await expect(alice.connect()).rejects.toThrow(failed);
  await made.client('alice').connect();
  expect(made.starts()).toBe(2);
});
