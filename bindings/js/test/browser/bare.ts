// A page on which something that the client needs is missing.
import { createClient, isMoorlineError, memory } from 'moorline';

/** Connects without these globals, and returns what it is told. */
async function attempt(without: readonly string[]): Promise<unknown> {
  for (const name of without) Object.defineProperty(globalThis, name, { value: undefined });
  try {
    const store = without.includes('indexedDB') ? {} : { store: memory() };
    await createClient({ url: 'ws://127.0.0.1:1/ws', token: 'dev:alice', ...store }).connect();
    return 'connected';
  } catch (error) {
    return isMoorlineError(error) ? { code: error.code, message: error.message } : String(error);
  }
}

Object.assign(globalThis, { attempt });
