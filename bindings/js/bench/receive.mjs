// What it costs to receive: real frames of a real server, fed to a client one by one. `node bench/receive.mjs SERVER`
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient } from '../dist/index.js';
import { nodeHost } from '../dist/host/node.js';

const folder = mkdtempSync(join(tmpdir(), 'moorline-bench-'));
const server = spawn(process.argv[2], ['--dev', '--listen', '127.0.0.1:0', '--data', folder], { stdio: ['ignore', 'pipe', 'ignore'] });
const url = await new Promise((resolve, reject) => {
  createInterface({ input: server.stdout }).once('line', (line) => resolve(/ws:\S+/.exec(line)[0]));
  server.once('error', reject);
});
const [warm, rounds, each] = [2000, 20, 50];

/** A host that keeps the frames of its socket back while it is told to. */
function holdingHost() {
  const host = nodeHost();
  const held = { frames: [], isOn: false, feed: undefined };
  return {
    held,
    host: {
      ...host,
      open: (to, events) => {
        held.feed = (data) => events.frame(data);
        return host.open(to, { ...events, frame: (data) => (held.isOn ? held.frames.push(data) : events.frame(data)) });
      },
    },
  };
}

async function measure(name, payload, compression = true) {
  const channel = `bench:${name}:${Date.now()}`;
  const { host, held } = holdingHost();
  const reader = createClient({ url, token: 'dev:reader', host, compression });
  const writer = createClient({ url, token: 'dev:writer' }).channel(channel);
  const room = reader.channel(channel);
  let received = 0;
  room.on('message', () => received++);
  await new Promise((resolve) => room.on('subscribed', resolve));
  held.isOn = true;
  const count = warm + rounds * each;
  for (let i = 0; i < count; i++) await writer.publish(payload(i)).stored;
  while (held.frames.length < count) await new Promise((resolve) => setImmediate(resolve));
  const bytes = held.frames.reduce((sum, frame) => sum + frame.length, 0) / held.frames.length;
  const feed = (from, to) => held.frames.slice(from, to).forEach((frame) => held.feed(frame));
  feed(0, warm);
  const spans = [];
  for (let round = 0; round < rounds; round++) {
    const from = warm + round * each;
    const start = process.hrtime.bigint();
    feed(from, from + each);
    spans.push(Number(process.hrtime.bigint() - start) / 1000 / each);
    await new Promise((resolve) => setImmediate(resolve));
  }
  spans.sort((a, b) => a - b);
  const frames = held.frames.length;
  held.isOn = false;
  if (received < count) throw new Error(`${received} of ${count} messages arrived`);
  console.log(`${name}: ${spans[rounds / 2].toFixed(1)} µs (best ${spans[0].toFixed(1)}), ${Math.round(bytes)} bytes on the wire, ${frames} frames`);
  await reader.close();
}

const text = (length, i) => `${i} `.padEnd(length, 'the quick brown fox jumps over the lazy dog ');
await measure('a text of 120 bytes, plain', (i) => text(120, i), false);
await measure('a text of 120 bytes', (i) => text(120, i));
await measure('JSON of 120 bytes', (i) => ({ id: i, user: 'alice', text: text(80, i) }));
const long = (i) => ({ id: i, kind: 'order', user: `user-${i % 50}`, items: Array.from({ length: 8 }, (_, k) => ({ sku: `A-${(i * 7 + k) % 100}`, price: (i * 13 + k * 7) % 1000, note: 'gift wrapped' })) });
await measure(`JSON of ${JSON.stringify(long(100)).length} bytes`, long);
server.kill();
rmSync(folder, { recursive: true, force: true });
process.exit(0);
