// Makes the core without WebAssembly, `src/core/asm.gen.js`, from what scripts/core.mjs left in dist/core.wasm.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { brotli } from './brotli.mjs';
import { growthHazards } from './growth.mjs';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'moorline-asm-'));
const tool = (name, args) => execFileSync(process.execPath, [here(`node_modules/binaryen/bin/${name}`), ...args], { stdio: ['ignore', 'inherit', 'ignore'], maxBuffer: 1 << 26 });

try {
  // wasm2js takes only what the first version of WebAssembly had.
  const lowered = join(folder, 'lowered.wasm');
  tool('wasm-opt', ['--enable-bulk-memory', '--enable-sign-ext', '--enable-mutable-globals', '--enable-nontrapping-float-to-int',
    '--enable-multivalue', '--enable-reference-types', '--signext-lowering', '--llvm-nontrapping-fptoint-lowering',
    '--llvm-memory-copy-fill-lowering', '--remove-exports=__data_end,__heap_base', here('dist/core.wasm'), '-o', lowered]);
  const made = join(folder, 'core.js');
  tool('wasm2js', ['-Oz', lowered, '-o', made]);

  // What it makes runs at import, with a memory and all. Here it runs when it is called, and each call has its own.
  const [body, tail] = readFileSync(made, 'utf8').split('\nvar retasmFunc = ');
  if (!tail?.startsWith('asmFunc({\n});\nexport var memory')) throw new Error('wasm2js made another module than this script expects');
  const whole = `export function start() {\n${body}\nreturn asmFunc({});\n}\n`;
  const { code } = transformSync(whole, { minify: true, format: 'esm', target: 'es2015' });
  const hazards = growthHazards(code);
  if (hazards.length > 0) throw new Error(`a memory that grows is written where it was:\n${hazards.join('\n')}`);
  writeFileSync(here('src/core/asm.gen.js'), `// Made by scripts/asm.mjs.\n${code}`);
  console.log(`asm.gen.js: ${code.length} bytes, ${brotli(Buffer.from(code)).length} in brotli`);
} finally {
  rmSync(folder, { recursive: true });
}
