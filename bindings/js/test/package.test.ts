import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { parse } from 'acorn';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import webpack from 'webpack';
import type { GoEasy } from '../src/goeasy/facade.js';
import type { Base } from '../src/goeasy/types.js';
import { ended, said, subscribed } from './goeasy/people.js';
import { Server } from './kit/server.js';
import { ground } from './platforms/sim/ground.js';
import { Machine } from './platforms/sim/machine.js';
import { wechat } from './platforms/sim/vendors.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, { import?: object }> };
/** The entries that have both forms. */
const entries = Object.keys(exports).filter((path) => exports[path]!.import).map((path) => `moorline${path.slice(1)}`);

/** Loads a file as a base library does: what it declares is its own, and it may require files beside it. */
function load(file: string, globals: object): Record<string, unknown> {
  const module = { exports: {} as Record<string, unknown> };
  const code = readFileSync(file, 'utf8');
  parse(code, { ecmaVersion: 2018, sourceType: 'script' });
  const ask = (name: string): unknown => {
    expect(name).toMatch(/^\.\/[\w/]+\.js$/);
    return load(join(dirname(file), name), globals);
  };
  (runInNewContext(`(function (module, exports, require) {${code}\n})`, globals) as (...args: unknown[]) => void)(module, module.exports, ask);
  return module.exports;
}

describe('what the tools of mini-programs copy', () => {
  const folder = join(root, 'dist/miniprogram');

  test.each([
    ['index', 'WechatHost'], ['wechat', 'WechatHost'], ['douyin', 'DouyinHost'], ['alipay', 'AlipayHost'], ['goeasy/make', 'makeGoEasy'],
  ])('has %s, in CommonJS of ES2018 that does nothing when it is loaded', (entry, name) => {
    const globals = Object.create(null) as Record<string, unknown>;
    const made = load(join(folder, `${entry}.js`), globals);
    expect(Object.keys(globals)).toEqual([]);
    expect(typeof made[name]).toBe('function');
    if (name !== 'makeGoEasy') expect(typeof made['createClient']).toBe('function');
  });

  test('makes a GoEasy on a phone that one user after the other has', async () => {
    const server = await Server.start();
    try {
      const globals = { setTimeout, clearTimeout, Promise, ...wechat(new Machine(ground), undefined) };
      const { createClient } = load(join(folder, 'wechat.js'), globals) as unknown as Base;
      const { makeGoEasy } = load(join(folder, 'goeasy/make.js'), globals) as { makeGoEasy: (base: Base) => GoEasy };
      const one = makeGoEasy({ createClient }).getInstance({ host: server.url, appkey: 'default', modules: ['pubsub'] });
      for (const id of ['alice', 'bob', 'alice']) {
        await ended((callbacks) => one.connect({ id, ...callbacks }));
        const inbox = await subscribed(one, 'room', { presence: { enable: true } });
        await said(one, 'room', `${id} is here`);
        expect((await inbox.until(1))[0]!.content).toBe(`${id} is here`);
        await ended((callbacks) => one.disconnect(callbacks));
      }
    } finally {
      await server.remove();
    }
  });

  test('has the core once in each form', () => {
    expect(existsSync(join(folder, 'core.wasm.br'))).toBe(true);
    for (const entry of ['wechat', 'douyin', 'alipay', 'goeasy/make']) expect(readFileSync(join(folder, `${entry}.js`)).length).toBeLessThan(100_000);
  });
});

describe('resolvers that do not read `exports`', () => {
  let app: string;
  beforeAll(() => {
    app = mkdtempSync(join(tmpdir(), 'moorline-app-'));
    mkdirSync(join(app, 'node_modules'));
    symlinkSync(root, join(app, 'node_modules/moorline'), 'dir');
  });
  afterAll(() => rmSync(app, { recursive: true, force: true }));

  /** Bundles entries, and returns what could not be had. */
  const missing = (names: readonly string[], mainFields: string[], target: 'web' | 'node'): Promise<string[]> =>
    new Promise((resolve, reject) => {
      const compiler = webpack({
        mode: 'none', context: app, entry: [...names], target, output: { path: join(app, 'out') },
        resolve: { exportsFields: [], importsFields: [], mainFields, symlinks: false },
        externals: [/^(ws|react|vue|node:.*)$/],
      });
      compiler.run((error, stats) => (error ? reject(error) : resolve((stats!.compilation.errors).map(({ message }) => message))));
    });

  const minis = entries.filter((name) => /\/(wechat|alipay|douyin|uni|taro|react-native|goeasy\/make)$/.test(name));
  const pages = [...minis, ...entries.filter((name) => /moorline(\/(slim|blackbox|asm|react|vue|tabs|goeasy))?$/.test(name))];

  test.each([
    ['webpack 4, as uni-app for Vue 2 has it', pages, ['browser', 'module', 'main'], 'web'],
    ['Metro', [...minis, 'moorline', 'moorline/react'], ['react-native', 'browser', 'main'], 'web'],
    ['a tool that knows `main` alone', minis, ['main'], 'web'],
    ['a runner for Node', entries, ['main'], 'node'],
  ] as const)('%s', async (_name, names, fields, target) => {
    expect(await missing(names, [...fields], target)).toEqual([]);
  }, 60_000);
});
