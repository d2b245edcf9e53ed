// Makes what `moorline/testing` carries of the server: `node scripts/server.mjs FILE.wasm`.
import { statSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Bytes that it may have. */
const most = 1_000_000;
const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const [source] = process.argv.slice(2);
const made = here('src/testing/server.wasm');
const passes = ['-Oz', '--enable-bulk-memory', '--enable-sign-ext', '--enable-mutable-globals', '--enable-nontrapping-float-to-int',
  '--enable-multivalue', '--enable-reference-types', '--strip-debug', '--strip-producers', '--strip-target-features'];
execFileSync(process.execPath, [here('node_modules/binaryen/bin/wasm-opt'), ...passes, source, '-o', made], { stdio: 'inherit' });
const { size } = statSync(made);
if (size > most) throw new Error(`server.wasm has ${size} bytes; at most ${most}`);
console.log(`server.wasm: ${size} bytes`);
