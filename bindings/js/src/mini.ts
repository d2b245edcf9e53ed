import { start } from './core/asm.gen.js';
import { type Core, type Instantiated, once } from './core/wasm.js';

/** Where the core in WebAssembly is. */
export interface MiniOptions {
  /**
   * The path of `core.wasm.br` (or `core.wasm`) in the mini-program's package (default `/moorline/core.wasm.br`); false: the core in
   * plain JavaScript, which also steps in where the file cannot be started.
   */
  readonly wasm?: string | false;
}

/** Starts the core without WebAssembly. */
export const startAsm = (): Promise<Instantiated> => Promise.resolve({ exports: start() });

/** A loader that tries a file of the package first, if there is one. */
export function loader(options: MiniOptions, instantiate: (path: string) => Promise<Instantiated>): () => Promise<Core> {
  const path = options.wasm ?? '/moorline/core.wasm.br';
  return once(path === false ? startAsm : () => Promise.resolve().then(() => instantiate(path)).catch(startAsm));
}
