import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build as esbuild } from 'esbuild';
import { rolldown } from 'rolldown';
import { build as vite } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import webpack from 'webpack';
import { type Browser, Lab, launch } from '../browser/harness.js';

const run = promisify(execFile);
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const root = here('../../');

let lab: Lab;
let browser: Browser;
/** An app with the packed package in its node_modules, as npm would install it. */
let app: string;

beforeAll(async () => {
  app = mkdtempSync(join(tmpdir(), 'moorline-app-'));
  for (const name of readdirSync(here('.'))) if (!name.endsWith('.test.ts')) cpSync(here(name), join(app, name));
  writeFileSync(join(app, 'package.json'), '{"name":"app","private":true,"type":"module"}');
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', app], { cwd: root });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  const packed = join(app, 'node_modules', 'moorline');
  mkdirSync(packed, { recursive: true });
  await run('tar', ['-xzf', join(app, filename), '--strip-components=1', '-C', packed]);
  // What it depends on.
  cpSync(join(root, 'node_modules', 'ws'), join(app, 'node_modules', 'ws'), { recursive: true });
  lab = await Lab.start();
  browser = await launch('chromium');
});
afterAll(async () => {
  await browser?.close();
  await lab?.close();
  rmSync(app, { recursive: true, force: true });
});

const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm', '.css': 'text/css' };

/** Serves what a bundler made, opens it in Chromium, and waits for its message. */
async function opened(folder: string, script?: string): Promise<unknown> {
  const base = `/${folder}`;
  for (const entry of readdirSync(join(app, folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    lab.serve(`${base}/${relative(join(app, folder), file)}`, { body: readFileSync(file), type: types[extname(file)] ?? 'application/octet-stream' });
  }
  if (script !== undefined) lab.serve(`${base}/index.html`, { body: `<!doctype html><script type=module src="${base}/${script}"></script>` });
  const page = await browser.open(`${lab.origin}${base}/index.html`);
  const text = await page.evaluate(`received(${JSON.stringify(lab.server.url)}, ${JSON.stringify(folder)})`);
  await page.close();
  return text;
}

function withWebpack(entry: string, folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    webpack({ mode: 'production', context: app, entry, output: { path: join(app, folder), filename: 'main.js', publicPath: `/${folder}/` } }, (error, stats) => {
      if (error || stats?.hasErrors()) reject(error ?? new Error(stats?.toString()));
      else resolve();
    });
  });
}

const withVite = (folder: string): Promise<unknown> =>
  vite({ root: app, base: `/${folder}/`, configFile: false, logLevel: 'warn', build: { outDir: folder, emptyOutDir: false } });

test('Vite, a page', async () => {
  await withVite('vite');
  expect(await opened('vite')).toBe('hi');
});

test('Vite, a worker', async () => {
  const html = readFileSync(join(app, 'index.html'), 'utf8');
  writeFileSync(join(app, 'index.html'), html.replace('page.js', 'with-worker.js'));
  await withVite('vite-worker');
  writeFileSync(join(app, 'index.html'), html);
  expect(await opened('vite-worker')).toBe('hi');
});

test('webpack, a page', async () => {
  await withWebpack('./page.js', 'webpack');
  expect(await opened('webpack', 'main.js')).toBe('hi');
});

test('webpack, a worker', async () => {
  await withWebpack('./with-worker.js', 'webpack-worker');
  expect(await opened('webpack-worker', 'main.js')).toBe('hi');
});

test('esbuild, a page', async () => {
  await esbuild({ entryPoints: [join(app, 'page.js')], outdir: join(app, 'esbuild'), bundle: true, minify: true, format: 'esm', logLevel: 'warning' });
  expect(await opened('esbuild', 'page.js')).toBe('hi');
});

test('rolldown, a page', async () => {
  const bundle = await rolldown({ cwd: app, input: './page.js', platform: 'browser' });
  await bundle.write({ dir: join(app, 'rolldown'), format: 'esm', minify: true });
  await bundle.close();
  expect(await opened('rolldown', 'page.js')).toBe('hi');
});

test('esbuild, a bundle for Node', async () => {
  await esbuild({ entryPoints: [join(app, 'run.mjs')], outfile: join(app, 'node', 'run.mjs'), bundle: true, format: 'esm', platform: 'node', external: ['ws'], logLevel: 'warning' });
  expect((await run('node', ['node/run.mjs', lab.server.url, 'bundled'], { cwd: app })).stdout).toBe('hi\n');
});

test.each(['run.mjs', 'run.cjs'])('Node without a bundler, %s', async (file) => {
  expect((await run('node', [file, lab.server.url, file], { cwd: app })).stdout).toBe('hi\n');
});
