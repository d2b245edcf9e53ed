import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as vite } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Browser, Lab, launch } from '../browser/harness.js';
import { install, run, served } from './packed.js';

const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');

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

test('the chat of the README chats between two tabs', async () => {
  writeFileSync(join(app, 'index.html'), block('## A chat in two tabs', 'html'));
  writeFileSync(join(app, 'main.js'), block('## A chat in two tabs', 'js'));
  await vite({ root: app, base: '/readme/', configFile: false, logLevel: 'warn' });
  served(lab, join(app, 'dist'), '/readme');
  const [first, second] = await Promise.all([1, 2].map(() => browser.open(`${lab.origin}/readme/index.html`)));
  const lines = `[...document.querySelectorAll('#list li')].map((line) => line.textContent.replace(/^guest-\\w+: /, ''))`;
  const say = (text: string): string => `document.getElementById('text').value = '${text}', document.getElementById('form').requestSubmit()`;
  const shows = (count: number): string => `new Promise((resolve) => {
    const list = document.getElementById('list');
    const look = () => list.children.length >= ${count} && resolve(${lines});
    new MutationObserver(look).observe(list, { childList: true });
    look();
  })`;
  await first!.evaluate(say('hello'));
  expect(await second!.evaluate(shows(1))).toEqual(['hello']);
  await second!.evaluate(say('and back'));
  expect(await first!.evaluate(shows(2))).toEqual(['hello', 'and back']);
});
