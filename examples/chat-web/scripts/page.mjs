// Makes the chat one file, as `moorline-server --dev` serves it: `node scripts/page.mjs`, or with `--check` tells whether the
// committed one is what these sources give.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { build } from 'vite';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const pageFile = at('../../server-ref/src/page/chat.html.gz');
const policyFile = at('../../server-ref/src/page/chat.csp');

// 'use client' means nothing in a bundle.
const onwarn = (warning, warn) => warning.code === 'MODULE_LEVEL_DIRECTIVE' || warn(warning);

const built = await build({
  root: at('.'),
  configFile: at('vite.config.js'),
  logLevel: 'warn',
  build: { write: false, target: 'es2022', cssCodeSplit: false, modulePreload: false, rollupOptions: { output: { codeSplitting: false }, onwarn } },
});
const output = [built].flat()[0].output;
const text = (end) => output.filter(({ fileName }) => fileName.endsWith(end)).map((file) => file.code ?? String(file.source)).join('\n').trim();
// Nothing in the script may end it.
const script = text('.js').replace(/<\/(script)/gi, '<\\/$1').replace(/<!--/g, '<\\!--');
const style = text('.css');
const page = text('.html')
  .replace(/\s*<script[^>]*src=[^>]*><\/script>/g, '')
  .replace(/\s*<link rel="stylesheet"[^>]*>/g, '')
  .replace('</head>', () => `<style>${style}</style>\n</head>`)
  .replace('</body>', () => `<script type="module">${script}</script>\n</body>`)
  .concat('\n');
const hash = (code) => `'sha256-${createHash('sha256').update(code).digest('base64')}'`;
const policy = [
  "default-src 'none'",
  `script-src ${hash(script)} 'wasm-unsafe-eval'`,
  `style-src ${hash(style)}`,
  'img-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

if (process.argv.includes('--check')) {
  const isSame = gunzipSync(readFileSync(pageFile)).toString() === page && readFileSync(policyFile, 'utf8').trim() === policy;
  if (!isSame) {
    console.error('server-ref/src/page is not what examples/chat-web gives: run `cargo xtask npm --page`, and commit it');
    process.exit(1);
  }
} else {
  writeFileSync(pageFile, gzipSync(page, { level: 9 }));
  writeFileSync(policyFile, `${policy}\n`);
}
