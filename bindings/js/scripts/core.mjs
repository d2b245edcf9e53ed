// Makes what the package carries of a build of the core: `node scripts/core.mjs FILE.wasm NAME`. Optimised, compressed, and
// inlined as a text.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { brotli } from './brotli.mjs';
import { encode } from './inline.mjs';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const [source, name = 'core'] = process.argv.slice(2);
mkdirSync(here('dist'), { recursive: true });
const optimised = here(`dist/${name}.wasm`);
// No inlining: what LLVM left apart is smaller apart. The first KB is the end of the stack, which nothing reaches: xtask/src/wasm.rs.
const passes = ['-ocimfs', '0', '-aimfs', '0', '-fimfs', '0', '--low-memory-unused', '-Oz', '--merge-similar-functions', '-Oz',
  '--enable-bulk-memory', '--enable-sign-ext', '--enable-mutable-globals', '--enable-nontrapping-float-to-int', '--enable-multivalue',
  '--enable-reference-types', '--strip-debug', '--strip-producers', '--strip-target-features'];
execFileSync(process.execPath, [here('node_modules/binaryen/bin/wasm-opt'), ...passes, source, '-o', optimised], { stdio: 'inherit' });
const bytes = readFileSync(optimised);
const compressed = brotli(bytes);
writeFileSync(`${optimised}.br`, compressed);
const { frequent, lengths, text } = encode(bytes);
const list = frequent.map((digits) => `'${digits}'`).join(', ');
writeFileSync(here(`src/core/${name}.gen.ts`),
  `// Made by scripts/core.mjs.\nexport const frequent = [${list}];\nexport const lengths = [${lengths.join(', ')}];\nexport const text =\n  '${text}';\n`);
console.log(`${name}.wasm: ${bytes.length} bytes, ${compressed.length} in brotli; as a text ${brotli(Buffer.from(text)).length}`);
