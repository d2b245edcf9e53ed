import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../src/client.js';
import { Server } from '../kit/server.js';
import { ground } from '../platforms/sim/ground.js';
import { Machine } from '../platforms/sim/machine.js';
import { taro, uniApp } from '../platforms/sim/vendors.js';

const dist = fileURLToPath(new URL('../../dist/', import.meta.url));
const examples = fileURLToPath(new URL('../../../../examples/', import.meta.url));

let server: Server;
beforeAll(async () => void (server = await Server.start()));
afterAll(() => server.remove());

type Open = (user: string) => Client;

/** What an example makes its clients with, on a phone. */
async function opener(example: string, globals: object): Promise<Open> {
  const made = await build({
    entryPoints: [join(examples, example, 'src/moorline.js')],
    bundle: true, write: false, format: 'iife', globalName: 'example', target: 'es2018',
    define: { 'import.meta.env.VITE_MOORLINE_URL': JSON.stringify(server.url), MOORLINE_URL: JSON.stringify(server.url) },
    plugins: [{
      name: 'packages',
      setup({ onResolve, onLoad }) {
        onResolve({ filter: /^moorline\// }, ({ path }) => ({ path: join(dist, `${path.slice('moorline/'.length)}.js`) }));
        onResolve({ filter: /^@tarojs\/taro$/ }, ({ path }) => ({ path, namespace: 'frame' }));
        onLoad({ filter: /.*/, namespace: 'frame' }, () => ({ contents: 'module.exports = Taro;' }));
      },
    }],
  });
  const context = createContext({ setTimeout, clearTimeout, Promise, ...globals });
  return runInContext(`${made.outputFiles[0]!.text}\nexample.clientFor;`, context) as Open;
}

const machine = (): Machine => new Machine(ground);
test.each([
  ['chat-uni', () => uniApp(machine())],
  ['chat-taro', () => taro(machine())],
] as const)('%s: one phone takes one user after the other', async (example, globals) => {
  const open = await opener(example, globals());
  for (const user of ['ann', 'bo', 'ann']) {
    const client = open(user);
    await client.connect();
    expect(client.user).toBe(user);
    await client.close();
  }
});
