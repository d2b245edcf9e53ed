import { afterAll, afterEach, beforeAll } from 'vitest';
import { type GoEasy, makeGoEasy } from '../../src/goeasy/facade.js';
import type { GoEasyError, GoEasyMessage, GoEasyOptions } from '../../src/goeasy/types.js';
import type { Host, Store, StoreEntry } from '../../src/host/host.js';
import { nodeHost } from '../../src/host/node.js';
import { createClient } from '../../src/index.js';
import { memory } from '../../src/store/memory.js';
import { Server } from '../kit/server.js';

/** A server for a file of tests, and GoEasys that are disconnected after each test. */
export function people(): {
  readonly server: Server;
  goEasy(options?: Partial<GoEasyOptions>, host?: () => Host): GoEasy;
  connected(id: string, options?: Partial<GoEasyOptions>, data?: object): Promise<GoEasy>;
} {
  let server: Server | undefined;
  const made: GoEasy[] = [];
  beforeAll(async () => void (server = await Server.start()));
  afterEach(() => {
    for (const each of made.splice(0)) if (each.getConnectionStatus() !== 'disconnected') each.disconnect();
  });
  afterAll(() => server?.remove());
  const goEasy = (options: Partial<GoEasyOptions> = {}, host: () => Host = nodeHost): GoEasy => {
    const one = makeGoEasy({ createClient, host }).getInstance({ host: server!.url, appkey: 'default', modules: ['pubsub'], ...options });
    made.push(one);
    return one;
  };
  return {
    get server() {
      return server!;
    },
    goEasy,
    async connected(id, options = {}, data = { name: id }) {
      const one = goEasy(options);
      await ended((callbacks) => one.connect({ id, data, ...callbacks }));
      return one;
    },
  };
}

/** A call that has ended: what onSuccess was given, or what onFailed was. */
export function ended<T = unknown>(call: (callbacks: { onSuccess: (result?: unknown) => void; onFailed: (error: GoEasyError) => void }) => void): Promise<T> {
  return new Promise((resolve, reject) => call({ onSuccess: (result) => resolve(result as T), onFailed: reject }));
}

/** What arrives, to be waited for. */
export class Inbox<T> {
  readonly all: T[] = [];
  private wake: (() => void) | undefined;
  readonly take = (item: T): void => {
    this.all.push(item);
    this.wake?.();
  };

  async until(enough: number | (() => boolean)): Promise<T[]> {
    const isEnough = typeof enough === 'number' ? () => this.all.length >= enough : enough;
    while (!isEnough()) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.all;
  }
}

export const subscribed = async (one: GoEasy, channel: string, rest: object = {}): Promise<Inbox<GoEasyMessage>> => {
  const inbox = new Inbox<GoEasyMessage>();
  await ended((callbacks) => one.pubsub.subscribe({ channel, onMessage: inbox.take, ...rest, ...callbacks }));
  return inbox;
};

export const said = (one: GoEasy, channel: string | number, message: string, rest: object = {}): Promise<unknown> =>
  ended((callbacks) => one.pubsub.publish({ channel, message, ...rest, ...callbacks }));

/** A store whose contents outlive the client. */
export function lasting(kept: Map<string, Uint8Array>): Store {
  const inner = memory();
  return {
    load: () => [...kept] as StoreEntry[],
    commit(batch) {
      if (batch.clear) kept.clear();
      for (const key of batch.deletes) kept.delete(key);
      for (const [key, value] of batch.puts) kept.set(key, value);
      return inner.commit(batch);
    },
  };
}
