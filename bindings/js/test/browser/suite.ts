import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { version } from 'moorline';
import { scenarios } from '../scenarios/index.js';
import { type Browser, type Engine, Lab, launch } from './harness.js';

/** Runs every scenario in an engine, against the real server. */
export function suite(engine: Engine): void {
  let lab: Lab;
  let browser: Browser;
  let url: string;
  beforeAll(async () => {
    lab = await Lab.start();
    url = await lab.page('page.ts');
    browser = await launch(engine);
    console.log(`${engine} ${browser.version}`);
  });
  afterAll(async () => {
    await browser?.close();
    await lab?.close();
  });
  beforeEach(() => lab.proxy.heal());

  test.each(Object.keys(scenarios))(`${engine}: %s`, async (name) => {
    const { steps, expected } = scenarios[name]!;
    const id = randomUUID().slice(0, 8);
    const page = await browser.open(url);
    let facts: unknown = null;
    for (const step of steps.keys()) {
      if (step > 0) await page.reload();
      facts = await page.evaluate(`runStep(${[name, step, lab.places, id, facts].map((value) => JSON.stringify(value)).join(', ')})`);
    }
    await page.close();
    expect(facts).toEqual(expected);
  });
  test(`${engine}: in a worker, the scenarios of one step`, { timeout: 120_000 }, async () => {
    await lab.script('page.ts', '/page-in-worker.js');
    const page = await browser.open(await lab.page('worker.ts'));
    const [told, expectedOf]: [Record<string, unknown>, Record<string, unknown>] = [{}, {}];
    for (const [name, { steps, expected }] of Object.entries(scenarios)) {
      if (steps.length > 1) continue;
      lab.proxy.heal();
      const id = randomUUID().slice(0, 8);
      told[name] = await page.evaluate(`runStep(${[name, 0, lab.places, id, null].map((value) => JSON.stringify(value)).join(', ')})`);
      expectedOf[name] = expected;
    }
    await page.close();
    expect(told).toEqual(expectedOf);
  });
  test(`${engine}: without WebAssembly, random numbers or a database the error says so`, async () => {
    const bare = await lab.page('bare.ts');
    const attempt = async (at: string, without: readonly string[]): Promise<{ code: string; message: string }> => {
      const page = await browser.open(at);
      const told = await page.evaluate<{ code: string; message: string }>(`attempt(${JSON.stringify(without)})`);
      await page.close();
      return told;
    };
    const forbidding = await lab.page('bare.ts', { 'content-security-policy': "default-src 'self'; connect-src *" });
    const names = expect.stringContaining('moorline/asm') as string;
    expect(await attempt(forbidding, [])).toEqual({ code: 'client.runtime', message: names });
    expect(await attempt(bare, ['WebAssembly'])).toEqual({ code: 'client.runtime', message: names });
    expect(await attempt(bare, ['crypto'])).toMatchObject({ code: 'client.random' });
    expect(await attempt(bare, ['indexedDB'])).toMatchObject({ code: 'storage.unavailable', message: expect.stringContaining('`store: memory()`') as string });
  });
  test(`${engine}: by default a page without a database, or without locks, goes on and keeps nothing`, async () => {
    const kept: unknown[] = [];
    for (const without of ['', '"indexedDB"', '"locks"']) {
      const page = await browser.open(await lab.page('bare.ts'));
      kept.push(await page.evaluate(`keeps(${without})`));
      await page.close();
    }
    expect(kept).toEqual([true, false, false]);
  });
  test(`${engine}: two versions of the package on one page both work, and know each other's errors`, async () => {
    await lab.script('copy.ts', '/older.js', (text) =>
      // It says that it is another version; the core in it is this one's.
      text.replace(`"${version}"`, '"0.0.1"').replace('`create-${version}`', `'create-${version}'`),
    );
    const page = await browser.open(await lab.page('twice.ts'));
    const told = await page.evaluate(`twice("/older.js", "${lab.server.url}", "twin-${randomUUID().slice(0, 8)}")`);
    await page.close();
    const malformed = ['request.malformed', 'request.malformed'];
    const seen = ['from 0', 'from 1'];
    expect(told).toEqual({ versions: [false, '0.0.1'], seen: [seen, seen], codes: [malformed, malformed] });
  });
}
