import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as vite } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, Lab, type Page, launch } from '../browser/harness.js';
import { install, run, served } from './packed.js';

const textOf = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
const readme = textOf('README.md');
const goEasy = textOf('../../docs/goeasy.md');

let lab: Lab;
let browser: Browser;
let app: string;
beforeAll(async () => {
  app = mkdtempSync(join(tmpdir(), 'moorline-readme-'));
  writeFileSync(join(app, 'package.json'), '{"name":"app","private":true,"type":"module"}');
  await install(app);
  lab = await Lab.start();
  browser = await launch('chromium');
});
afterAll(async () => {
  await browser?.close();
  await lab?.close();
  rmSync(app, { recursive: true, force: true });
});

/** The first block of this language after a text, as somebody copies it; the server is where this test has it. */
function block(after: string, language: string): string {
  const found = new RegExp('```' + language + '\\n([^]*?)```').exec(readme.slice(readme.indexOf(after)));
  return found![1]!.replace('ws://127.0.0.1:8000/ws', lab.server.url);
}

test('the first lines of the README run as they are', async () => {
  writeFileSync(join(app, 'first.mjs'), `${block('npm install moorline', 'ts')}\nawait client.close();\n`);
  const { stdout } = await run('node', ['first.mjs'], { cwd: app });
  expect(stdout).toContain("alice { text: 'hello' }");
  expect(stdout).toMatch(/epoch: '.+',\s+offset: 1,\s+duplicate: false/);
});

test.each([
  ['the README', readme.slice(readme.indexOf('In production give')), 'ts'],
  ['docs/goeasy.md', goEasy, 'js'],
])('where %s gets its tokens, an answer that is none is no token', async (_, text, language) => {
  const [, sample] = new RegExp('```' + language + '\\n[^]*?(token: async [^]*?)\\n}\\);').exec(text)!;
  const script = `
    import { createClient } from 'moorline';
    const answers = [new Response('<h1>Bad Gateway</h1>', { status: 502 }), new Response('dev:alice')];
    globalThis.fetch = async () => answers.shift();
    const client = createClient({ url: '${lab.server.url}', backoff: { min: 1, max: 1 }, ${sample} });
    await client.connect();
    console.log(client.user, answers.length);
    await client.close();
  `;
  writeFileSync(join(app, 'token.mjs'), script);
  const { stdout } = await run('node', ['token.mjs'], { cwd: app });
  expect(stdout).toBe('alice 0\n');
});

test('the chat of the README goes on over reloads, closed tabs, copied tabs and other users', async () => {
  writeFileSync(join(app, 'index.html'), block('## A chat in two tabs', 'html'));
  writeFileSync(join(app, 'main.js'), block('## A chat in two tabs', 'js'));
  await vite({ root: app, base: '/readme/', configFile: false, logLevel: 'warn' });
  served(lab, join(app, 'dist'), '/readme');
  const open = (): Promise<Page> => browser.open(`${lab.origin}/readme/index.html`);
  const [first, second] = await Promise.all([open(), open()]);
  const said: string[] = [];
  const says = async (page: Page, text: string, others: readonly Page[]): Promise<void> => {
    said.push(text);
    await page.evaluate(`document.getElementById('text').value = '${text}', document.getElementById('form').requestSubmit()`);
    for (const other of [page, ...others]) expect(textsOf(await other.evaluate(shows(said.length)))).toEqual(said);
  };
  const namesOf = async (page: Page): Promise<readonly string[]> => (await page.evaluate<string[]>(shows(said.length))).map((line) => line.split(':')[0]!);

  await says(first, 'hello', [second]);
  await says(second, 'and back', [first]);
  await first.reload();
  await says(first, 'after a reload', [second]);
  const names = await namesOf(first);
  expect([names[2], names[1] === names[0]], 'a reload keeps the name, and tabs have names of their own').toEqual([names[0], false]);

  await second.close();
  const third = await open();
  await says(third, 'in a new tab', [first]);
  const own = JSON.stringify(await first.evaluate('Object.entries(sessionStorage)'));
  await third.evaluate(`${own}.forEach(([key, value]) => sessionStorage.setItem(key, value))`);
  await third.reload();
  await says(third, 'in a copy of the first tab', [first]);
  await first.evaluate('sessionStorage.clear()');
  await first.reload();
  await says(first, 'as somebody else', [third]);
  const later = await namesOf(third);
  expect([later[4], new Set(later).size]).toEqual([later[0], 4]);
});

/** The lines of the chat, once there are this many. */
function shows(count: number): string {
  return `new Promise((resolve) => {
    const list = document.getElementById('list');
    const look = () => list.children.length >= ${count} && resolve([...list.children].map((line) => line.textContent));
    new MutationObserver(look).observe(list, { childList: true });
    look();
  })`;
}

function textsOf(lines: unknown): readonly string[] {
  return (lines as string[]).map((line) => line.replace(/^guest-\w+: /, ''));
}
