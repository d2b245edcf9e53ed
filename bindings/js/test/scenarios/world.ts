import type { Client, ClientOptions, ConnectionState, indexedDb, isMoorlineError, memory, createClient } from 'moorline';

/** The package under test, as an app imports it. */
export interface Package {
  readonly createClient: typeof createClient;
  readonly indexedDb: typeof indexedDb;
  readonly memory: typeof memory;
  readonly isMoorlineError: typeof isMoorlineError;
}

/** Where everything is. */
export interface Places {
  /** Control and tokens. */
  readonly origin: string;
  readonly url: string;
  /** The server through the proxy. */
  readonly proxied: string;
}

/** What the lab does on demand. */
export type Command = 'cut' | 'black-hole' | 'refuse' | 'heal' | 'delay' | 'kill' | 'start';

/** What a scenario has to hand, on every platform. */
export class World {
  private readonly clients: Client[] = [];
  private count = 0;

  constructor(
    readonly moorline: Package,
    readonly places: Places,
    /** Tells this run from others: part of every user's and channel's name. */
    readonly id: string,
  ) {}

  /** A client with a store of its own, or the store of this name. */
  client(user: string, options: Partial<ClientOptions> = {}, database = `${user}-${this.id}-${this.clients.length}`): Client {
    const { createClient, indexedDb } = this.moorline;
    const backoff = { min: 100, max: 500 };
    const client = createClient({ url: this.places.url, token: `dev:${this.user(user)}`, store: indexedDb({ name: database }), backoff, ...options });
    this.clients.push(client);
    return client;
  }

  user(name: string): string {
    return `${name}-${this.id}`;
  }

  /** A channel that nobody else uses. */
  channel(): string {
    return `room:${this.id}-${++this.count}`;
  }

  async control(command: Command, ms = 0): Promise<void> {
    await fetch(`${this.places.origin}/control/${command}?ms=${ms}`, { method: 'POST' });
  }

  /** How many bytes the server has sent through the proxy so far. */
  async bytesSent(): Promise<number> {
    return Number(await (await fetch(`${this.places.origin}/bytes`)).text());
  }

  /** A token of so many seconds, for channels that begin so. */
  async token(user: string, seconds: number, match = '*'): Promise<string> {
    const query = new URLSearchParams({ user: this.user(user), seconds: String(seconds), match });
    return (await fetch(`${this.places.origin}/token?${query.toString()}`)).text();
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.splice(0).map((client) => client.close()));
  }
}

/**
 * Something that must come out the same on every platform. A step returns facts that JSON can say; between two steps the
 * page is loaded anew.
 */
export interface Scenario {
  readonly steps: readonly ((world: World, before: unknown) => Promise<unknown>)[];
  /** What the last step returns. */
  readonly expected: unknown;
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

/** Waits until a client is in a state. */
export function reaches(client: Client, state: ConnectionState): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (client.state !== state) return;
      stop();
      resolve();
    };
    const stop = client.connection.subscribe(look);
    look();
  });
}

/** The code of what is thrown; what comes instead if nothing is. */
export async function codeOf(act: () => unknown): Promise<unknown> {
  try {
    return { instead: await act() };
  } catch (error) {
    return (error as { code?: unknown }).code ?? String(error);
  }
}
