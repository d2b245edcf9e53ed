import { instantiate } from '../../src/host/instantiate.js';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
// @ts-expect-error a script without types
import { growthHazards } from '../../scripts/growth.mjs';
import { start } from '../../src/core/asm.gen.js';
import * as calls from '../../src/core/calls.js';
import { Core, type Instantiated } from '../../src/core/wasm.js';
import { Writer } from '../../src/core/writer.js';

const generated = fileURLToPath(new URL('../../src/core/asm.gen.js', import.meta.url));
const module = fileURLToPath(new URL('../../dist/core.wasm', import.meta.url));

interface Memory {
  readonly memory: { readonly buffer: ArrayBuffer };
}

/** Settings of a client, with so many entries of 64 KiB in its store, so that reading them makes the memory grow. */
function settings(entries: number): Uint8Array {
  const to = new Writer();
  to.raw(new Uint8Array(32).fill(7));
  to.list(['ws://127.0.0.1:1/ws'], (out, url) => out.text(url)).byte(0).text('moorline-js/test').flag(true);
  for (let i = 0; i < 11; i++) to.maybe(undefined, () => undefined);
  to.list(Array.from({ length: entries }, (_, i) => `x${i}`), (out, key) => out.text(key).blob(new Uint8Array(65536).fill(key.length)));
  return to.view().slice();
}

/** All that the core says while it is fed more and more: messages of up to 256 KiB, in batches of up to 4 MiB. */
function play(loaded: Instantiated): { said: string[]; pages: number } {
  const core = new Core(loaded);
  const exports = ('instance' in loaded ? loaded.instance : loaded).exports as Memory;
  const said: string[] = [];
  const { handle, refusal } = core.create(settings(0), 0, 1e12, (failure) => {
    throw failure;
  });
  if (handle === 0) throw new Error(`refused: ${Buffer.from(refusal.rest()).toString('hex')}`);
  const run = (...batch: calls.Call[]): void => {
    const to = new Writer();
    for (const call of batch) call(to);
    const { records, deadline, outbox } = core.run(handle, to.view(), said.length, 1e12 + said.length);
    said.push(`${deadline} ${outbox.messages} ${outbox.bytes} ${Buffer.from(records.rest()).toString('base64')}`);
  };
  run(calls.connect);
  for (let i = 0; i < 40; i++) {
    const payload = { kind: 2 as const, bytes: new Uint8Array(60_000).fill(i) };
    const publish = (n: number): calls.Call => calls.publish('room:1', payload, { qos: 1, id: `${i}-${n}`, ttl: undefined, headers: [] });
    run(...Array.from({ length: (i % 8) + 1 }, (_, n) => publish(n)));
  }
  core.remove(handle);
  return { said, pages: exports.memory.buffer.byteLength >> 16 };
}

/** A module whose memory is looked up once, as generated glue does that trusts old views to be detached. */
function stale(exports: unknown): unknown {
  const { buffer } = (exports as Memory).memory;
  return { ...(exports as object), memory: { buffer } };
}

describe('the core without WebAssembly', () => {
  test('does the same as in WebAssembly while its memory grows', async () => {
    const asm = play({ exports: start() });
    const wasm = play(await instantiate(readFileSync(module)));
    expect(asm.pages).toBeGreaterThan(100);
    expect(asm.said).toEqual(wasm.said);
  });

  test('does not with a view of the memory that is kept: what this would catch', () => {
    const right = play({ exports: start() });
    let wrong: unknown;
    try {
      wrong = play({ exports: stale(start()) }).said;
    } catch (error) {
      wrong = error;
    }
    expect(wrong).not.toEqual(right.said);
  });

  test('looks no view up before a call that may make the memory grow', () => {
    const code = readFileSync(generated, 'utf8');
    expect(growthHazards(code)).toEqual([]);
    // A store and a load as a careless minifier would make them.
    // Those of the memory come last; before them there may be some over a buffer by which numbers are taken for others.
    const view = [...code.matchAll(/([\w$]+)=new Int32Array\(/g)].pop()?.[1];
    const grower = /grow:\{value:([\w$]+)\}/.exec(code)?.[1];
    expect([view, grower]).not.toContain(undefined);
    const planted = code.replace(/return\s*\{memory:/, `${view}[${grower}(1)>>2]=${view}[4]+${grower}(2);$&`);
    expect(planted).not.toBe(code);
    expect(growthHazards(planted)).not.toEqual([]);
  });

  test('uses nothing but the language of 2015', () => {
    const code = readFileSync(generated, 'utf8');
    expect(code).not.toMatch(/\b(TextDecoder|TextEncoder|globalThis|BigInt|WebAssembly|atob|Buffer|console|queueMicrotask|crypto|process)\b/);
    expect(code).not.toMatch(/\?\.|\?\?|\*\*|\basync\b|=>/);
  });
});
