// Plays seeds of the simulator as plain JavaScript, made as `moorline/asm` is: `node plain.mjs FILE FIRST COUNT` prints `seed trace`, a
// line each. Needs the packages of bindings/js.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lower, wasm2js } from '../../../bindings/js/scripts/lower.mjs';

const [file, first, count] = process.argv.slice(2);
const RUNS = '--stack-size=8000';
// A simulator needs more of the stack than Node gives unless it is asked.
if (!process.execArgv.includes(RUNS)) {
  const again = [RUNS, fileURLToPath(import.meta.url), file, first, count];
  process.stdout.write(execFileSync(process.execPath, again, { stdio: ['ignore', 'pipe', 'inherit'] }));
  process.exit();
}

const folder = mkdtempSync(join(tmpdir(), 'moorline-plain-'));
try {
  const lowered = join(folder, 'lowered.wasm');
  const made = join(folder, 'made.js');
  lower(file, lowered, ['--strip-debug']);
  wasm2js(lowered, made, '-O1');
  const [body, tail] = readFileSync(made, 'utf8').split('\nvar retasmFunc = ');
  if (!tail || !body.startsWith("import * as env from 'env';")) throw new Error('wasm2js made another module than this script expects');
  // The upper half of a result of 64 bits.
  let high = 0;
  const start = new Function('env', `${body.slice(body.indexOf(';') + 1)}\nreturn asmFunc({ env });`);
  const { run } = start({ setTempRet0: (half) => void (high = half) });
  const hex = (half) => (half >>> 0).toString(16).padStart(8, '0');
  for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
    const low = run(seed, 0);
    console.log(`${seed} ${hex(high)}${hex(low)}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
