import { spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import type { Boot } from './engine.js';

const own = fileURLToPath(new URL('./engines/node_modules/hermes-engine-cli/linux64-bin', import.meta.url));
/** Where a program of Hermes is: of 0.12, unless `MOORLINE_HERMES` names a folder with another's. */
export const tool = (name: string): string => join(process.env['MOORLINE_HERMES'] ?? own, name);
const program = tool('hermes');
/** Tells lines of the bundle from what the program echoes. */
const mark = '#moorline#';

/** Hermes has no `Symbol.asyncIterator`. This is where Babel's helper then finds what `for await` runs over; TypeScript's only throws. */
const forAwait = 'function __asyncValues(from) { return from[Symbol.asyncIterator || "@@asyncIterator"](); }';

/** Down to what this Hermes has: no classes, no async functions, as an app's own build does for it. */
export function toES5(code: string): string {
  const { outputText } = ts.transpileModule(code, { compilerOptions: { target: ts.ScriptTarget.ES5, downlevelIteration: true, removeComments: true } });
  return outputText;
}

/**
 * Hermes 0.12, the engine of React Native 0.70, as its command-line program: it evaluates the lines of its standard input. Its timers
 * are not used, and it has no sockets: both are the kernel's.
 */
export const hermes: Boot = async (bundle, heard) => {
  // npm does not keep who may run it.
  chmodSync(program, 0o755);
  const child = spawn(program, ['-w'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  let failure: string | undefined;
  let ready!: () => void;
  const started = new Promise<void>((resolve, reject) => {
    ready = resolve;
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`Hermes ended with ${code}: ${failure}`)));
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const at = line.indexOf(mark);
    if (at < 0) {
      if (/Error/.test(line)) failure = line;
      return;
    }
    const said = line.slice(at + mark.length);
    if (said === 'ready') ready();
    else heard(said);
  });
  const evaluate = (code: string): void => void child.stdin.write(`${code}\n`);
  const before = `var __global = this; ${forAwait} function __post(line) { print(${JSON.stringify(mark)} + line); }`;
  evaluate(before);
  evaluate(`(0, eval)(${ascii(JSON.stringify(toES5(bundle)))})`);
  evaluate(`print(${JSON.stringify(`${mark}ready`)})`);
  await started;
  return {
    send: (line) => evaluate(`__receive(${ascii(JSON.stringify(line))}), 0`),
    run: (code) => evaluate(code),
    close() {
      child.stdin.end();
      child.kill();
      void gone;
    },
  };
};

/** Code with no character that an input would have to decode. */
export function ascii(text: string): string {
  return text.replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
