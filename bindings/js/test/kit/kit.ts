import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Client, type ClientOptions, createClient } from '../../src/index.js';
import { Server } from './server.js';

/** A server for a file of tests, and clients that are closed after each test. */
export function kit(): { readonly server: Server; client(user: string, options?: Partial<ClientOptions>): Client } {
  let server: Server | undefined;
  const clients: Client[] = [];
  beforeAll(async () => void (server = await Server.start()));
  afterEach(async () => void (await Promise.all(clients.splice(0).map((client) => client.close()))));
  afterAll(() => server?.remove());
  return {
    get server() {
      return server!;
    },
    client(user, options = {}) {
      const client = createClient({ url: server!.url, token: `dev:${user}`, ...options });
      clients.push(client);
      return client;
    },
  };
}

/** Waits for an event. */
export function once<T extends readonly unknown[]>(on: (handler: (...args: T) => void) => () => void): Promise<T> {
  return new Promise((resolve) => {
    const off = on((...args) => {
      off();
      resolve(args);
    });
  });
}

/** Takes so many items of an iteration. */
export async function take<T>(count: number, from: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of from) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

let names = 0;
/** A channel that no other test uses. */
export const fresh = (): string => `room:${process.pid}-${++names}`;
