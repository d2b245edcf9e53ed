import { start } from './core/asm.gen.js';
import { checked } from './core/checked.js';
import { type Core, type Instantiated, once } from './core/wasm.js';
import { report } from './host/mini/report.js';
import { within } from './host/mini/within.js';

/** Where the core in WebAssembly is. */
export interface MiniOptions {
  /**
   * The path of `core.wasm.br` (or `core.wasm`) in the mini-program's package (default `/moorline/core.wasm.br`); false: the core in
   * plain JavaScript, which also steps in where the file cannot be started or, with a report, is that of another version.
   */
  readonly wasm?: string | false;
}

/** Starts the core without WebAssembly. */
export const startAsm = (): Promise<Instantiated> => Promise.resolve({ exports: start() });

/** How long a file of the package may take to start, in ms. */
const patience = 5_000;

/** Loaders that try a file of the package first, if there is one. A path is loaded once, for all clients. */
export function loader(instantiate: (path: string) => Promise<Instantiated>): (options: MiniOptions) => () => Promise<Core> {
  const plain = once(startAsm);
  const loaders = new Map<string, () => Promise<Core>>();
  return ({ wasm: path = '/moorline/core.wasm.br' }) => {
    if (path === false) return plain;
    let load = loaders.get(path);
    if (!load) {
      load = once(async () => {
        const made = await within(patience, Promise.resolve().then(() => instantiate(path))).catch(() => undefined);
        if (!made) return startAsm();
        try {
          return checked(made);
        } catch (error) {
          report(error);
          return startAsm();
        }
      });
      loaders.set(path, load);
    }
    return load;
  };
}
