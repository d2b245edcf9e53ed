import { createContext, runInContext } from 'node:vm';
import type { Boot } from './engine.js';

/** What a context of V8 has that a mini-program may not have. */
const missing = ['WebAssembly', 'SharedArrayBuffer', 'Atomics', 'BigInt', 'BigInt64Array', 'BigUint64Array', 'console', 'globalThis', 'WeakRef', 'FinalizationRegistry'];

/** What ES2018 does not have; iOS 11 has no more than that. */
const later: Readonly<Record<string, readonly string[]>> = {
  'Array.prototype': ['flat', 'flatMap', 'at', 'findLast', 'findLastIndex', 'toSorted', 'toReversed', 'toSpliced', 'with'],
  'String.prototype': ['trimStart', 'trimEnd', 'matchAll', 'replaceAll', 'at', 'isWellFormed', 'toWellFormed'],
  Object: ['fromEntries', 'hasOwn', 'groupBy'],
  Promise: ['allSettled', 'any', 'withResolvers'],
};

/** Takes from a context what an app may not have. */
export function takeAway(context: object): object {
  const laterNames = Object.entries(later).flatMap(([of, names]) => names.map((name) => `${of}.${name}`));
  runInContext([...missing.map((name) => `this.${name}`), ...laterNames].map((name) => `delete ${name};`).join(''), context);
  const left = runInContext('Object.getOwnPropertyNames(this).join()', context) as string;
  for (const name of [...missing, 'TextDecoder', 'crypto', 'queueMicrotask', 'process']) if (left.split(',').includes(name)) throw new Error(`the context has ${name}`);
  return context;
}

/** V8 without what mini-programs lack. `hasModules`: what starts a module is kept aside for the vendor's loader. `beside`: what else is there. */
export const v8 = (hasModules = false, beside: object = {}): Boot => async (bundle, heard) => {
  const context = createContext({ ...beside, __post: heard });
  if (hasModules) Object.assign(context, { __instantiate: (bytes: Uint8Array) => WebAssembly.instantiate(bytes as Uint8Array<ArrayBuffer>) });
  if ('setTimeout' in takeAway(context)) throw new Error('the context has setTimeout');
  runInContext(`var __global = this;\n${bundle}`, context, { filename: 'app.js' });
  return {
    send: (line) => void (context['__receive'] as (line: string) => void)(line),
    run: (code) => runInContext(code, context) as unknown,
    close: () => undefined,
  };
};
