import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import * as recording from '../src/blackbox.js';
import * as slim from '../src/slim.js';
import { kit } from './kit/kit.js';

const here = kit();
const core = fileURLToPath(new URL('../dist/core.wasm', import.meta.url));

describe('the entries', () => {
  test('keep a record, or say who does', async () => {
    const client = recording.createClient({ url: here.server.url, token: 'dev:alice' });
    expect(client.blackbox()).toHaveLength(0);
    await client.connect();
    const record = client.blackbox();
    expect(new TextDecoder().decode(record.slice(0, 4))).toBe('MLBB');
    expect(new TextDecoder('latin1').decode(record)).not.toContain('dev:alice');
    await client.close();
    const plain = here.client('alice');
    await plain.connect();
    expect(() => plain.blackbox()).toThrow(expect.objectContaining({ code: 'feature.disabled', message: expect.stringContaining('moorline/blackbox') as string }));
  });

  test('slim says that it has no core, and takes one in any form', async () => {
    const early = slim.createClient({ url: here.server.url });
    await expect(early.connect()).rejects.toMatchObject({ code: 'client.runtime', message: expect.stringContaining('init()') as string });
    const bytes = new Uint8Array(readFileSync(core));
    const sources: slim.CoreSource[] = [
      bytes, bytes.buffer, await WebAssembly.compile(bytes), new Response(bytes), () => WebAssembly.instantiate(bytes),
    ];
    for (const source of sources) {
      slim.init(source);
      const client = slim.createClient({ url: here.server.url });
      await client.connect();
      expect(client.state).toBe('online');
      await client.close();
    }
    slim.init(new Uint8Array([1, 2, 3]));
    await expect(slim.createClient({ url: here.server.url }).connect()).rejects.toMatchObject({ code: 'client.runtime' });
  });
});
