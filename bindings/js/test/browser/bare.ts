// A page on which something that the client needs is missing.
import { createClient, indexedDb, isMoorlineError, memory } from 'moorline';

/** Connects without these globals, and returns what it is told. */
async function attempt(without: readonly string[]): Promise<unknown> {
  for (const name of without) Object.defineProperty(globalThis, name, { value: undefined });
  try {
    const store = without.includes('indexedDB') ? indexedDb() : memory();
    await createClient({ url: 'ws://127.0.0.1:1/ws', token: 'dev:alice', store }).connect();
    return 'connected';
  } catch (error) {
    return isMoorlineError(error) ? { code: error.code, message: error.message } : String(error);
  }
}

/** Publishes without one of these, and tells whether that is kept; anyway it is queued. */
async function keeps(without: 'indexedDB' | 'locks' | undefined): Promise<boolean> {
  if (without) Object.defineProperty(without === 'locks' ? navigator : globalThis, without, { value: undefined });
  const client = createClient({ url: 'ws://127.0.0.1:1/ws', token: 'dev:alice' });
  const receipt = client.channel('room').publish('x');
  await receipt.queued;
  await client.close();
  return receipt.isKept;
}

Object.assign(globalThis, { attempt, keeps });
