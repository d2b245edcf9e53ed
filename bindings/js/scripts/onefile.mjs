// Makes a page of one file, and the policy that lets it run: what the server has in its binary.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';

// 'use client' means nothing in a bundle.
const onwarn = (warning, warn) => warning.code === 'MODULE_LEVEL_DIRECTIVE' || warn(warning);
const hash = (code) => `'sha256-${createHash('sha256').update(code).digest('base64')}'`;

/** Builds the page of a folder with its own Vite. Returns the page and the policy. */
async function made(build, root) {
  const built = await build({
    root,
    configFile: `${root}/vite.config.js`,
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
  return { page, policy };
}

/**
 * Writes `<name>.html.gz` and `<name>.csp` into `server-ref/src/page`; with `--check` tells whether the committed ones are
 * what the folder's sources give.
 */
export async function oneFile({ build, root, folder, name }) {
  const at = new URL(`../../../server-ref/src/page/${name}`, import.meta.url);
  const [pageFile, policyFile] = [new URL(`${at}.html.gz`), new URL(`${at}.csp`)];
  const { page, policy } = await made(build, root);
  if (!process.argv.includes('--check')) {
    writeFileSync(pageFile, gzipSync(page, { level: 9 }));
    writeFileSync(policyFile, `${policy}\n`);
    return;
  }
  const isSame = gunzipSync(readFileSync(pageFile)).toString() === page && readFileSync(policyFile, 'utf8').trim() === policy;
  if (isSame) return;
  console.error(`server-ref/src/page/${name}.html.gz is not what ${folder} gives: run \`cargo xtask npm --page\`, and commit it`);
  process.exit(1);
}
