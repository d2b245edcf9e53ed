import { afterEach } from 'vitest';

import { type Channel, type Client, type ClientOptions, type Message, createClient } from '../../src/index.js';
import { type TestHost, type TestServer, type TestServerOptions, createTestServer } from '../../src/testing/index.js';

const servers: TestServer[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.stop()));

export async function start(options?: TestServerOptions): Promise<TestServer> {
  const server = await createTestServer(options);
  servers.push(server);
  return server;
}

/** A user's app, as far as a test looks at it. */
export interface App {
  readonly client: Client;
  readonly host: TestHost;
  readonly room: Channel;
  /** The texts that the app shows, in the order of their arrival. */
  readonly shown: string[];
  readonly states: string[];
  readonly resets: string[];
}

export function open(server: TestServer, user: string, options: Partial<ClientOptions> & { host?: TestHost } = {}): App {
  const { host = server.host() } = options;
  const client = createClient({ url: server.url, token: `dev:${user}`, ...options, host });
  const room = client.channel('room', { presence: 'join' });
  const app: App = { client, host, room, shown: [], states: [], resets: [] };
  client.on('state', (state) => void app.states.push(state));
  room.on('message', (message) => void app.shown.push(textOf(message)));
  room.on('reset', ({ reason }) => void app.resets.push(reason));
  return app;
}

export function textOf(message: Message): string {
  return message.text ?? JSON.stringify(message.data);
}

export function texts(server: TestServer, channel = 'room'): string[] {
  return server.messages(channel).map((message) => message.text ?? JSON.stringify(message.data));
}
