import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build as esbuild } from 'esbuild';
import { rolldown } from 'rolldown';
import { build as vite } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import webpack from 'webpack';
import { type Browser, Lab, launch } from '../browser/harness.js';
import { appWith, install, opened as openedAt, run } from './packed.js';

let lab: Lab;
let browser: Browser;
/** An app with the packed package in its node_modules, as npm would install it. */
let app: string;

beforeAll(async () => {
  app = appWith('apps');
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

const opened = (folder: string, script?: string): Promise<unknown> => openedAt(lab, browser, join(app, folder), `/${folder}`, script);

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

test.each(['kit.mjs', 'kit.cjs'])('the server of moorline/testing, %s', async (file) => {
  expect((await run('node', [file], { cwd: app })).stdout).toBe('hi\n');
});
