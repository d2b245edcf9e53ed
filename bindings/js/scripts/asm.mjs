// Makes the core without WebAssembly, `src/core/asm.gen.js`, from what scripts/core.mjs left in dist/core.wasm.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { brotli } from './brotli.mjs';
import { growthHazards } from './growth.mjs';
import { lower, wasm2js } from './lower.mjs';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'moorline-asm-'));

try {
  const lowered = join(folder, 'lowered.wasm');
  lower(here('dist/core.wasm'), lowered);
  const made = join(folder, 'core.js');
  wasm2js(lowered, made, '-Oz');

  // What it makes runs at import, with a memory and all. Here it runs when it is called, and each call has its own.
  const [rough, tail] = readFileSync(made, 'utf8').split('\nvar retasmFunc = ');
  if (!tail?.startsWith('asmFunc({\n});\nexport var memory')) throw new Error('wasm2js made another module than this script expects');
  // It writes names of exports as identifiers: the one with the version has dots.
  const dotted = WebAssembly.Module.exports(new WebAssembly.Module(readFileSync(lowered))).map(({ name }) => name).filter((name) => /\W/.test(name));
  const body = dotted.reduce((code, name) => {
    const written = `"${name.replace(/\W/g, '_')}":`;
    if (!code.includes(written)) throw new Error(`wasm2js writes the export ${name} in another way than this script expects`);
    return code.replace(written, `${JSON.stringify(name)}:`);
  }, rough);
  const whole = `export function start() {\n${body}\nreturn asmFunc({});\n}\n`;
  const { code } = transformSync(whole, { minify: true, format: 'esm', target: 'es2015' });
  const hazards = growthHazards(code);
  if (hazards.length > 0) throw new Error(`a memory that grows is written where it was:\n${hazards.join('\n')}`);
  writeFileSync(here('src/core/asm.gen.js'), `// Made by scripts/asm.mjs.\n${code}`);
  console.log(`asm.gen.js: ${code.length} bytes, ${brotli(Buffer.from(code)).length} in brotli`);
} finally {
  rmSync(folder, { recursive: true });
}
