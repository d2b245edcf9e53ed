import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser, Lab } from '../browser/harness.js';

export const run = promisify(execFile);

const root = fileURLToPath(new URL('../../', import.meta.url));
const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm', '.css': 'text/css' };

/** A folder with these files and, in its node_modules, the package as npm packs it. Whoever asks for it removes it. */
export function appWith(files: string): string {
  const app = mkdtempSync(join(tmpdir(), 'moorline-app-'));
  cpSync(fileURLToPath(new URL(files, import.meta.url)), app, { recursive: true });
  return app;
}

/** Puts the packed package, and what it depends on, into an app. */
export async function install(app: string): Promise<void> {
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', app], { cwd: root });
  const packed = join(app, 'node_modules', 'moorline');
  mkdirSync(packed, { recursive: true });
  await run('tar', ['-xzf', join(app, fileNameOf(stdout)), '--strip-components=1', '-C', packed]);
  cpSync(join(root, 'node_modules', 'ws'), join(app, 'node_modules', 'ws'), { recursive: true });
}

/** Serves what a bundler made. */
export function served(lab: Lab, folder: string, base: string): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    lab.serve(`${base}/${relative(folder, file)}`, { body: readFileSync(file), type: types[extname(file)] ?? 'application/octet-stream' });
  }
}

/** Serves what a bundler made, opens it in a browser, and waits for the message that the app receives. */
export async function opened(lab: Lab, browser: Browser, folder: string, base: string, script?: string): Promise<unknown> {
  served(lab, folder, base);
  if (script !== undefined) lab.serve(`${base}/index.html`, { body: `<!doctype html><script type=module src="${base}/${script}"></script>` });
  const page = await browser.open(`${lab.origin}${base}/index.html`);
  const user = JSON.stringify(base.slice(1) || 'root');
  await page.evaluate('new Promise((resolve) => { const look = () => globalThis.received ? resolve() : setTimeout(look, 10); look(); })');
  const text = await page.evaluate(`received(${JSON.stringify(lab.server.url)}, ${user})`);
  await page.close();
  return text;
}

/** npm 11 answers with an object by name, older ones with a list. */
function fileNameOf(json: string): string {
  const answer = JSON.parse(json) as Record<string, { filename: string }>;
  return Object.values(answer)[0]!.filename;
}
