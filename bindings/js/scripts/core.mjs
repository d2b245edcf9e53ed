// Makes what the package carries of the core: `node scripts/core.mjs FILE.wasm`. Optimised, inlined as a text, compressed.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const [source] = process.argv.slice(2);
mkdirSync(here('dist'), { recursive: true });
const optimised = here('dist/core.wasm');
const passes = ['-Oz', '--enable-bulk-memory', '--enable-sign-ext', '--enable-mutable-globals', '--enable-nontrapping-float-to-int',
  '--enable-multivalue', '--enable-reference-types', '--strip-debug', '--strip-producers', '--strip-target-features',
  '--remove-exports=__data_end,__heap_base'];
const removable = passes.filter((pass) => !pass.startsWith('--remove-exports'));
execFileSync(process.execPath, [here('node_modules/binaryen/bin/wasm-opt'), ...removable, source, '-o', optimised], { stdio: 'inherit' });
const bytes = readFileSync(optimised);
const compressed = brotliCompressSync(bytes, {
  params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
});
writeFileSync(here('dist/core.wasm.br'), compressed);
writeFileSync(here('src/core/wasm.gen.ts'), `// Made by scripts/core.mjs.\nexport const inlined =\n  '${bytes.toString('base64').replace(/=+$/, '')}';\n`);
console.log(`core.wasm: ${bytes.length} bytes, ${compressed.length} in brotli`);
