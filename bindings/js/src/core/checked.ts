import { MoorlineError } from '../errors.js';
import { version } from '../version.js';
import type { Instantiated } from './wasm.js';

/** Refuses a module that is not the core of this version: a file that is copied by hand stays what it was when the package is updated. */
export function checked(loaded: Instantiated): Instantiated {
  const { exports } = 'instance' in loaded ? loaded.instance : loaded;
  if (typeof (exports as Record<string, unknown>)[`create-${version}`] === 'function') return loaded;
  throw new MoorlineError('client.runtime', `this core.wasm is not that of moorline ${version}: copy it anew with each update of the package`);
}
