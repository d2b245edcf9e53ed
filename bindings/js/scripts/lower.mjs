// The steps from a module to plain JavaScript.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const tool = (name, args) => {
  const path = fileURLToPath(new URL(`../node_modules/binaryen/bin/${name}`, import.meta.url));
  execFileSync(process.execPath, [path, ...args], { stdio: ['ignore', 'inherit', 'ignore'], maxBuffer: 1 << 26 });
};

/** Leaves of a module what the first version of WebAssembly had: wasm2js takes nothing else. */
export function lower(from, to, further = []) {
  tool('wasm-opt', ['--enable-bulk-memory', '--enable-sign-ext', '--enable-mutable-globals', '--enable-nontrapping-float-to-int',
    '--enable-multivalue', '--enable-reference-types', '--signext-lowering', '--llvm-nontrapping-fptoint-lowering',
    '--llvm-memory-copy-fill-lowering', '--remove-exports=__data_end,__heap_base', ...further, from, '-o', to]);
}

/** Makes an ES module of what `lower` left. */
export function wasm2js(from, to, level) {
  tool('wasm2js', [level, from, '-o', to]);
}
