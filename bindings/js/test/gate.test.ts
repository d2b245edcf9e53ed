import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
// @ts-expect-error a script without types
import { brotli } from '../scripts/brotli.mjs';
// @ts-expect-error a script without types
import { encode } from '../scripts/inline.mjs';
import { type Inlined, decode, instantiateInline, together } from '../src/core/inline.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sources(path) : path.endsWith('.ts') && !/\/core\/\w+\.gen\.ts$/.test(path) ? [path] : [];
  });
}

/** The code, without comments. */
const code = (path: string): string => readFileSync(path, 'utf8').replace(/\/\*[^]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '').replace(/ \/\/ .*$/gm, '');

const nowhere = [/\bany\b/, /@ts-/, /\bFunction\b/, /\bconsole\./, /\bMath\.random\b/];
const onlyInHost = [
  /\b(setTimeout|setInterval|clearTimeout|queueMicrotask|TextEncoder|TextDecoder|globalThis|navigator|document|crypto|performance|process|Buffer|indexedDB|fetch|localStorage)\b\s*[.(]/,
  /\btypeof (wx|my|tt|uni|swan|window|document|process)\b/,
  /\bnew WebSocket\b/,
];

describe('the sources', () => {
  test('say nothing that a typed library does not say, and touch a platform only in host/ and in the test kit', () => {
    const found: string[] = [];
    for (const path of sources(src)) {
      const name = relative(src, path);
      const rules = name.startsWith('host/') || name.startsWith('testing/') ? nowhere : [...nowhere, ...onlyInHost];
      const text = code(path);
      // The one place for chance where a platform has no random bytes: docs/adr/0015-mini-programs.md.
      if (name === 'host/mini/random.ts') continue;
      for (const rule of rules) if (rule.test(text.replace(/'[^'\n]*'|`[^`]*`/g, "''"))) found.push(`${name}: ${rule.source}`);
    }
    expect(found).toEqual([]);
  });

  test('are short files', () => {
    const long = sources(src).map((path) => [relative(src, path), readFileSync(path, 'utf8').split('\n').length] as const).filter(([, lines]) => lines > 350);
    expect(long).toEqual([]);
  });
});

/** As an app bundles it: the settings of this folder's own TypeScript are not the app's. */
const asApp = { bundle: true, minify: true, target: 'es2018', platform: 'browser', write: false, tsconfigRaw: {} } as const;

/** What brings a host of its own, and the core without WebAssembly. */
const minis = ['wechat', 'alipay', 'douyin', 'uni', 'taro', 'react-native'] as const;

describe('the package', () => {
  const bundle = async (entry: string, format: 'esm' | 'iife' = 'esm'): Promise<string> => {
    const made = await build({
      // A page that brings the core itself has to say where it is.
      stdin: { contents: `export { createClient${entry === 'slim' ? ', init' : ''} } from ${JSON.stringify(join(root, 'dist', `${entry}.js`))};`, resolveDir: root },
      ...asApp, format, globalName: 'api',
    });
    return made.outputFiles[0]!.text;
  };

  // In KB of brotli, as measured: a change that makes it larger says why.
  test.each([['index', 63.5], ['slim', 14.4], ['blackbox', 70.4], ['asm', 91.1], ...minis.map((name) => [name, 94.8] as const)] as const)('%s is at most %d KB', async (entry, most) => {
    const size = (brotli(Buffer.from(await bundle(entry))) as Buffer).length;
    console.log(`${entry}: ${size} bytes in brotli`);
    expect(size).toBeLessThanOrEqual(most * 1000);
  });

  test.each([['react', 2.1], ['vue', 2.3], ['tabs/index', 13], ['testing/index', 8.7]] as const)('%s, alone, is at most %d KB', async (entry, most) => {
    const made = await build({
      ...asApp, entryPoints: [join(root, 'dist', `${entry}.js`)], format: 'esm',
      external: ['react', 'vue', 'node:*', '*.gen.js'],
    });
    const size = (brotli(Buffer.from(made.outputFiles[0]!.contents)) as Buffer).length;
    console.log(`${entry}: ${size} bytes in brotli`);
    expect(size).toBeLessThanOrEqual(most * 1000);
  });

  test('brings nothing of Node to a browser', async () => {
    const text = await bundle('index');
    expect(text).not.toMatch(/node:|\bws\b.{0,10}import|require\(/);
  });

  test('does nothing at import, and needs no global for that', async () => {
    const { runInNewContext } = await import('node:vm');
    for (const entry of ['index', 'slim', 'asm', ...minis]) {
      const context = Object.create(null) as Record<string, unknown>;
      runInNewContext(await bundle(entry, 'iife'), context);
      expect(Object.keys(context)).toEqual(['api']);
    }
  });

  test('inlines a module, taken apart', async () => {
    const bytes = readFileSync(join(root, 'dist', 'core.wasm'));
    const inlined = encode(bytes) as Inlined;
    expect(inlined.text).toMatch(/^[!-~]+$/);
    const module = together(decode(inlined));
    // Only alignments are not as they were, and how sizes are written: apart it is the same again.
    expect(encode(module)).toEqual(inlined);
    const made = await instantiateInline(inlined);
    expect(Object.keys('instance' in made ? {} : (made.exports as object))).toContain('run');
  });
});
