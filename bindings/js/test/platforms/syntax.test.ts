import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'acorn';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const compiler = join(root, 'test/platforms/engines/node_modules/hermes-compiler/hermesc/linux64-bin/hermesc');

/** An entry as a bundler makes one file of it that lowers nothing. */
async function bundled(entry: string): Promise<string> {
  const made = await build({ entryPoints: [join(root, 'dist', `${entry}.js`)], bundle: true, format: 'iife', target: 'esnext', platform: 'neutral', write: false });
  return made.outputFiles[0]!.text;
}

test.each(['wechat', 'alipay', 'douyin', 'uni', 'taro', 'react-native'])('%s is ES2018', async (entry) => {
  expect(() => parse('a ??= 1', { ecmaVersion: 2018 })).toThrow();
  parse(await bundled(entry), { ecmaVersion: 2018, sourceType: 'script' });
});

test('React Native finds its entry under the name of the package', async () => {
  const made = await build({ stdin: { contents: "export { createClient } from 'moorline';", resolveDir: root }, conditions: ['react-native'], bundle: true, format: 'iife', platform: 'neutral', write: false });
  expect(made.outputFiles[0]!.text).not.toContain('WebAssembly.');
  const other = await build({ stdin: { contents: "export { createClient } from 'moorline';", resolveDir: root }, conditions: ['import'], bundle: true, format: 'iife', platform: 'neutral', write: false });
  expect(other.outputFiles[0]!.text).toContain('WebAssembly.');
});

test('the compiler of Hermes 1.0 takes it as it is', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'moorline-hermesc-'));
  try {
    chmodSync(compiler, 0o755);
    const file = join(folder, 'app.js');
    const compile = (code: string): string => {
      writeFileSync(file, code);
      execFileSync(compiler, ['-w', '-O', '-emit-binary', '-out', join(folder, 'app.hbc'), file], { stdio: 'pipe' });
      return join(folder, 'app.hbc');
    };
    expect(statSync(compile(await bundled('react-native'))).size).toBeGreaterThan(100_000);
    expect(() => compile('import.meta.url')).toThrow();
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60_000);
