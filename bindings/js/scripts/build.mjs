// Makes the package in dist/, and its licences beside it, from the sources and from what scripts/core.mjs left.
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
for (const name of readdirSync(here('dist'))) if (!/\.wasm(\.br)?$/.test(name)) rmSync(here(`dist/${name}`), { recursive: true });

// ES modules, one per source: bundlers leave out what an app does not use. TypeScript checks and declares; esbuild writes what
// ES2018 lacks in fewer bytes.
execFileSync(process.execPath, [here('node_modules/typescript/bin/tsc'), '-p', here('tsconfig.build.json')], { stdio: 'inherit' });
const sources = readdirSync(here('src'), { recursive: true }).filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'));
await build({
  entryPoints: sources.map((name) => here(`src/${name}`)),
  outbase: here('src'),
  outdir: here('dist'),
  format: 'esm',
  target: 'es2018',
  supported: { 'import-meta': true, 'dynamic-import': true },
});
copyFileSync(here('src/testing/server.wasm'), here('dist/testing/server.wasm'));
copyFileSync(here('src/core/asm.gen.js'), here('dist/core/asm.gen.js'));

const goEasyTypes = `declare const goEasy: import('./facade.js', { with: { 'resolution-mode': 'import' } }).GoEasy;
export = goEasy;
`;

// CommonJS: one file per entry and platform.
for (const entry of ['index', 'slim', 'blackbox', 'asm', 'goeasy/index']) {
  for (const [suffix, host, platform] of [['', 'default', 'neutral'], ['.node', 'default.node', 'node']]) {
    await build({
      entryPoints: [here(`dist/${entry}.js`)],
      outfile: here(`dist/${entry}${suffix}.cjs`),
      bundle: true,
      format: 'cjs',
      target: 'es2018',
      platform,
      external: ['ws'],
      alias: { '#host': here(`dist/host/${host}.js`) },
      minifyWhitespace: entry === 'asm',
      legalComments: 'none',
      // What `require('goeasy')` returns is the class itself.
      ...(entry === 'goeasy/index' ? { footer: { js: 'module.exports = module.exports.default;' } } : {}),
    });
  }
  // The same types, as a CommonJS package sees them.
  writeFileSync(here(`dist/${entry}.d.cts`), entry === 'goeasy/index' ? goEasyTypes : `export * from './${entry}.js';\n`);
}

// What takes the client it is given or is taken by one, and what brings a host of its own.
for (const entry of ['react', 'vue', 'tabs/index', 'goeasy/make', 'wechat', 'alipay', 'douyin', 'uni', 'taro', 'react-native']) {
  await build({
    entryPoints: [here(`dist/${entry}.js`)],
    outfile: here(`dist/${entry}.cjs`),
    bundle: true,
    format: 'cjs',
    target: 'es2018',
    external: ['react', 'vue'],
    minifyWhitespace: true,
    legalComments: 'none',
  });
  writeFileSync(here(`dist/${entry}.d.cts`), `export * from './${entry.split('/').pop()}.js';\n`);
}

// The server of tests, which finds its module beside itself. For Node, and for runners that know no `import()`, as jest.
await build({
  entryPoints: [here('dist/testing/index.js')],
  outfile: here('dist/testing/index.cjs'),
  bundle: true,
  format: 'cjs',
  target: 'es2018',
  platform: 'node',
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': 'moduleUrl' },
  banner: { js: "var moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
  minifyWhitespace: true,
  legalComments: 'none',
});
writeFileSync(here('dist/testing/index.d.cts'), `export * from './index.js';\n`);

// npm packs what is in this folder alone.
for (const name of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(here(`../../${name}`), here(name));

// What "Build npm" of WeChat and Douyin copies as it is into miniprogram_npm/moorline. The core without WebAssembly is there once.
const native = ['wechat', 'douyin', 'alipay', 'goeasy/make'];
const asm = {
  name: 'asm',
  setup: ({ onResolve }) => onResolve({ filter: /\/asm\.gen\.js$/ }, ({ kind }) => (kind === 'entry-point' ? undefined : { path: './asm.js', external: true })),
};
for (const [entry, to] of [['core/asm.gen', 'asm'], ...native.map((name) => [name, name])]) {
  await build({
    entryPoints: [here(`dist/${entry}.js`)],
    outfile: here(`dist/miniprogram/${to}.js`),
    bundle: true,
    format: 'cjs',
    target: 'es2018',
    plugins: [asm],
    minifyWhitespace: true,
    legalComments: 'none',
  });
}
copyFileSync(here('dist/core.wasm.br'), here('dist/miniprogram/core.wasm.br'));
// A package of plain CommonJS: the one around it says that `.js` is something else.
writeFileSync(here('dist/miniprogram/package.json'), '{ "type": "commonjs" }\n');
writeFileSync(here('dist/miniprogram/index.js'), "module.exports = require('./wechat.js');\n");

// For resolvers that do not read `exports` (webpack 4, Metro before 0.82, Alipay's tools): a folder per entry that says where it is.
const { exports } = JSON.parse(readFileSync(here('package.json'), 'utf8'));
for (const [path, { import: esm, require: cjs }] of Object.entries(exports)) {
  if (path === '.' || !esm) continue;
  const up = '../'.repeat(path.split('/').length - 1);
  const from = (file) => file.replace('./', up);
  const entry = path.slice(2);
  // They do not read `imports` either, by which an ES module finds its host: where there are two hosts, it is one file.
  const files = cjs.node
    ? { main: from(cjs.node), browser: from(cjs.default) }
    : { main: native.includes(entry) ? from(`./dist/miniprogram/${entry}.js`) : from(cjs.default), module: from(esm.default), 'react-native': from(esm.default) };
  mkdirSync(here(entry), { recursive: true });
  writeFileSync(here(`${entry}/package.json`), `${JSON.stringify({ ...files, types: from(esm.types), sideEffects: false }, undefined, 2)}\n`);
}
