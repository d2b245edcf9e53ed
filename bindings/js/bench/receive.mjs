// What it costs to receive: real frames of a real server, recorded once, then fed to clients one by one, from the socket's frame
// to the app's handler. `node bench/receive.mjs SERVER [DIST…]`: other builds of the package (copies of its `dist/` in a package
// of their own) take the same frames in turns with this one.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const [program, ...others] = process.argv.slice(2);
const builds = [fileURLToPath(new URL('../dist', import.meta.url)), ...others.map((path) => resolve(path))];
const folder = mkdtempSync(join(tmpdir(), 'moorline-bench-'));
const server = spawn(program, ['--dev', '--listen', '127.0.0.1:0', '--data', folder], { stdio: ['ignore', 'pipe', 'ignore'] });
const url = await new Promise((resolve, reject) => {
  createInterface({ input: server.stdout }).once('line', (line) => resolve(/ws:\S+/.exec(line)[0]));
  server.once('error', reject);
});
const [warm, rounds, each] = [8000, 40, 50];
const count = warm + rounds * each;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const load = async (build) => ({ ...(await import(join(build, 'index.js'))), ...(await import(join(build, 'host', 'node.js'))) });

/** All frames of a reader: up to the subscription, and after it: one for each message, and a ping now and then. */
async function record(payload, compression) {
  const { createClient, nodeHost } = await load(builds[0]);
  const node = nodeHost();
  const [channel, frames] = [`bench:${Math.random()}`, []];
  let received = 0;
  const open = (to, events) => node.open(to, { ...events, frame: (data) => (frames.push(data.slice()), events.frame(data)) });
  const reader = createClient({ url, token: 'dev:reader', compression, host: { ...node, open } });
  const room = reader.channel(channel);
  room.on('message', () => received++);
  await new Promise((resolve) => room.on('subscribed', resolve));
  const head = frames.splice(0);
  const writer = createClient({ url, token: 'dev:writer' });
  for (let i = 0; i < count; i++) await writer.channel(channel).publish(payload(i)).stored;
  while (received < count) await turn();
  await Promise.all([reader.close(), writer.close()]);
  return { channel, compression, head, frames };
}

/** A client that is fed what was recorded. */
async function replay(build, { channel, compression, head }) {
  const { createClient, nodeHost } = await load(build);
  const made = { feed: undefined, received: 0 };
  const open = (to, events) => {
    made.feed = (data) => events.frame(data);
    setImmediate(() => events.opened());
    return { send: () => undefined, buffered: 0, close: () => undefined };
  };
  const room = createClient({ url, token: 'dev:reader', compression, host: { ...nodeHost(), open } }).channel(channel);
  room.on('message', () => made.received++);
  const subscribed = new Promise((resolve) => room.on('subscribed', resolve));
  while (!made.feed) await turn();
  await turn();
  for (const frame of head) made.feed(frame), await turn();
  await subscribed;
  return made;
}

async function measure(name, payload, compression = true) {
  const recorded = await record(payload, compression);
  const { frames } = recorded;
  const bytes = frames.reduce((sum, frame) => sum + frame.length, 0) / frames.length;
  for (const [way, pause] of [['in a row', undefined], ['one per task', null]]) {
    const clients = await Promise.all(builds.map((build) => replay(build, recorded)));
    const spans = builds.map(() => []);
    for (let from = 0; from < frames.length; from += each) {
      for (let next = 0; next < clients.length; next++) {
        const which = (next + from / each) % clients.length;
        const start = process.hrtime.bigint();
        for (let i = from; i < Math.min(from + each, frames.length); i++) {
          clients[which].feed(frames[i]);
          // What waits for the end of the task is done before the next frame, as in a browser.
          if (pause === null) await pause;
        }
        if (from >= warm && from + each <= frames.length) spans[which].push(Number(process.hrtime.bigint() - start) / 1000 / each);
        await turn();
      }
    }
    for (const [which, { received }] of clients.entries()) {
      if (received < count) throw new Error(`${received} of ${count} messages arrived`);
      const [all, build] = [spans[which].sort((a, b) => a - b), which === 0 ? '' : `, ${builds[which]}`];
      console.log(`${name}, ${way}${build}: ${all[all.length >> 1].toFixed(1)} µs (best ${all[0].toFixed(1)}), ${Math.round(bytes)} bytes on the wire`);
    }
  }
}

const text = (length, i) => `${i} `.padEnd(length, 'the quick brown fox jumps over the lazy dog ');
await measure('a text of 120 bytes, plain', (i) => text(120, i), false);
await measure('a text of 120 bytes', (i) => text(120, i));
await measure('JSON of 120 bytes', (i) => ({ id: i, user: 'alice', text: text(80, i) }));
const long = (i) => ({ id: i, kind: 'order', user: `user-${i % 50}`, items: Array.from({ length: 8 }, (_, k) => ({ sku: `A-${(i * 7 + k) % 100}`, price: (i * 13 + k * 7) % 1000, note: 'gift wrapped' })) });
await measure(`JSON of ${JSON.stringify(long(100)).length} bytes`, long);
server.once('exit', () => {
  rmSync(folder, { recursive: true, force: true });
  process.exit(0);
});
server.kill();
