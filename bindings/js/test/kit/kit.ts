import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Client, type ClientOptions, createClient } from '../../src/index.js';
import { Server } from './server.js';

export { once, take } from '../scenarios/world.js';

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

let names = 0;
/** A channel that no other test uses. */
export const fresh = (): string => `room:${process.pid}-${++names}`;
