import type { KeyValue } from '../../store/sharded.js';
import { type Failure, isThenable, reasonOf } from './task.js';

/** What is used of a platform's storage. Each call is answered by one of its handlers. */
export interface Storage {
  setStorage(options: { readonly key: string; readonly data: string } & Answers<unknown>): unknown;
  getStorage(options: { readonly key: string } & Answers<{ readonly data?: unknown }>): unknown;
  removeStorage(options: { readonly key: string } & Answers<unknown>): unknown;
  getStorageInfo(options: Answers<{ readonly keys: readonly string[] }>): unknown;
}

interface Answers<T> {
  readonly success: (answer: T) => void;
  readonly fail: (why?: Failure) => void;
}

/** A platform's storage as keys and texts. */
export function keyValueOf(storage: Storage): KeyValue {
  const ask = <T>(act: (answers: Answers<T>) => unknown): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      // Some of these also return a promise when handlers are given; the handlers are what all have.
      const made = act({ success: resolve, fail: (why) => reject(new Error(reasonOf(why))) });
      if (isThenable(made)) made.then(undefined, reject);
    });
  const keys = (): Promise<readonly string[]> => ask<{ readonly keys: readonly string[] }>((answers) => storage.getStorageInfo(answers)).then((info) => info.keys);
  const get = async (key: string, isAgain = false): Promise<string | undefined> => {
    let why: unknown = new Error(`no ${key}`);
    try {
      const { data } = await ask<{ readonly data?: unknown }>((answers) => storage.getStorage({ key, ...answers }));
      if (typeof data === 'string') return data;
    } catch (error) {
      why = error;
    }
    // A key that is not there fails on some platforms, and is nothing on others. One that is there may fail, too.
    if (!(await keys()).includes(key)) return undefined;
    if (isAgain) throw why;
    return get(key, true);
  };
  return {
    keys,
    get: (key) => get(key),
    set: (key, data) => ask((answers) => storage.setStorage({ key, data, ...answers })).then(() => undefined),
    remove: (key) => ask((answers) => storage.removeStorage({ key, ...answers })).then(() => undefined),
  };
}
