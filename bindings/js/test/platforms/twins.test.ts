import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Client } from '../../src/client.js';
import { start } from '../../src/core/asm.gen.js';
import { Core, type Run } from '../../src/core/wasm.js';
import { instantiate } from '../../src/host/instantiate.js';
import { createTestServer } from '../../src/testing/index.js';

const module = readFileSync(fileURLToPath(new URL('../../dist/core.wasm', import.meta.url)));
const cores = {
  asm: () => Promise.resolve({ exports: start() }),
  wasm: () => instantiate(module),
};

/** A core that hashes all that is told to it, and all that it says: the trace of a run. */
class Traced extends Core {
  readonly trace = createHash('sha256');
  runs = 0;
  /** What it does wrong from this run on, to see that a trace tells. */
  breaksAt = Infinity;

  override run(handle: number, batch: Uint8Array, mono: number, unix: number): Run {
    const run = super.run(handle, batch, mono, unix);
    this.runs++;
    this.trace.update(`${handle} ${mono} ${unix} ${run.deadline + (this.runs === this.breaksAt ? 1 : 0)} ${run.nextAttempt} ${run.outbox.messages} ${run.outbox.bytes} `).update(batch).update(run.records.rest());
    return run;
  }
}

/** Plays what a seed says: three clients, and networks, servers and tokens that fail, in virtual time. Returns the trace. */
async function play(seed: number, which: keyof typeof cores, breaksAt = Infinity): Promise<{ trace: string; runs: number; stored: number }> {
  const server = await createTestServer({ seed });
  const core = new Traced(await cores[which]());
  core.breaksAt = breaksAt;
  let state = seed + 1;
  const roll = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const users = ['alice', 'bob', 'carol'].map((user) => {
    const host = server.host();
    const client = new Client({ url: server.url, token: `dev:${user}`, compression: roll(2) === 0 }, { load: () => Promise.resolve(core), host: () => host });
    const room = client.channel('room', { qos: roll(2) === 0 ? 2 : 1, durable: roll(2) === 0, presence: 'join', state: { user } });
    room.on('message', () => undefined);
    return { user, client, room, host };
  });
  await server.settle();
  for (let i = 0; i < 60; i++) {
    const { host, room, client } = users[roll(3)]!;
    switch (roll(12)) {
      case 0: host.cut(); break;
      case 1: host.blackhole(); break;
      case 2: host.offline(); break;
      case 3: host.delay(roll(400)); break;
      case 4: server.kill(), server.restart({ keep: roll(4) > 0 }); break;
      case 5: void room.presence.update({ i }).catch(() => undefined); break;
      case 6: void room.history({ limit: 5 }).catch(() => undefined); break;
      case 7: client.lifecycle((['background', 'foreground', 'wake'] as const)[roll(3)]!); break;
      default: {
        const receipt = room.publish({ i, fill: 'abcdefgh '.repeat(roll(300)) });
        receipt.stored.catch(() => undefined);
      }
    }
    await server.advance([5, 50, 2_000, 30_000][roll(4)]!);
    if (roll(3) === 0) users.forEach(({ host: each }) => each.heal());
  }
  users.forEach(({ host }) => host.heal());
  await server.advance(120_000);
  const stored = server.messages('room').length;
  const { runs } = core;
  const trace = core.trace.copy().digest('hex');
  server.stop();
  return { trace, runs, stored };
}

const seeds = Array.from({ length: 24 }, (_, seed) => seed);

test.each(seeds)('seed %d has one trace, in WebAssembly and in JavaScript', async (seed) => {
  const [asm, wasm] = [await play(seed, 'asm'), await play(seed, 'wasm')];
  expect(wasm.runs).toBeGreaterThan(100);
  expect(asm).toEqual(wasm);
});

test('a trace tells a deadline that is 1 ms off', async () => {
  expect((await play(1, 'asm', 50)).trace).not.toBe((await play(1, 'asm')).trace);
});
