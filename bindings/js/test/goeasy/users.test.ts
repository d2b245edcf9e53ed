import { describe, expect, test } from 'vitest';
import { type GoEasy, makeGoEasy } from '../../src/goeasy/facade.js';
import type { GoEasyError, GoEasyOptions } from '../../src/goeasy/types.js';
import type { Host, Store } from '../../src/host/host.js';
import { nodeHost } from '../../src/host/node.js';
import { createClient, indexedDb } from '../../src/index.js';
import { type KeyValue, sharded } from '../../src/store/sharded.js';
import { fresh } from '../kit/kit.js';
import { FaultProxy } from '../kit/proxy.js';
import { Inbox, ended, lasting, people, said, subscribed } from './people.js';

const on = people();

/** A device whose stores outlive a client, one for each name. As in a browser, one that is open is nobody else's. */
function device(): () => Host {
  const kept = new Map<string, Map<string, Uint8Array>>();
  const open = new Set<string>();
  return () => ({
    ...nodeHost(),
    store(name = 'moorline'): Store {
      const entries = kept.get(name) ?? new Map<string, Uint8Array>();
      kept.set(name, entries);
      const store = lasting(entries);
      return {
        shared: name,
        load() {
          if (open.has(name)) throw new Error(`${name} is open`);
          open.add(name);
          return store.load();
        },
        commit: (batch) => store.commit(batch),
        close: () => void open.delete(name),
      };
    },
  });
}

/** A device whose stores are shards in a storage of texts, as a mini-program's are. */
function small(): () => Host {
  const kept = new Map<string, string>();
  const storage: KeyValue = {
    keys: async () => [...kept.keys()],
    get: async (key) => kept.get(key),
    set: async (key, value) => void kept.set(key, value),
    remove: async (key) => void kept.delete(key),
  };
  const report = (error: unknown): void => void Promise.reject(error);
  return () => ({ ...nodeHost(), store: (name = 'moorline') => sharded(storage, { name, keyBytes: 1_000_000, bytes: 5_000_000, report }) });
}

/** A browser that has no database. */
const bare = (): Host => ({ ...nodeHost(), store: (name = 'moorline') => indexedDb({ name, ifLocked: 'memory' }) });

const login = async (one: GoEasy, id: string, rest: object = {}): Promise<void> => void (await ended((callbacks) => one.connect({ id, ...rest, ...callbacks })));
const logout = (one: GoEasy): Promise<unknown> => ended((callbacks) => one.disconnect(callbacks));

describe('one device', () => {
  test('takes one user after the other, each with what is theirs', async () => {
    const channel = fresh();
    const one = on.goEasy({}, device());
    await login(one, 'alice');
    await subscribed(one, channel);
    await logout(one);
    await login(one, 'bob');
    await said(one, channel, 'for alice', { qos: 1 });
    await logout(one);
    await login(one, 'alice');
    expect((await (await subscribed(one, channel)).until(1))[0]!.content).toBe('for alice');
  });

  test('lets go of a store before the same user takes it again', async () => {
    const one = on.goEasy({}, device());
    await login(one, 'alice');
    one.disconnect();
    await login(one, 'alice');
    expect(one.getConnectionStatus()).toBe('connected');
  });

  test('keeps nothing of who has no id: the next one may be another user', async () => {
    const one = on.goEasy({}, device());
    await ended((callbacks) => one.connect({ otp: 'dev:alice', ...callbacks }));
    await logout(one);
    await ended((callbacks) => one.connect({ otp: 'dev:bob', ...callbacks }));
  });

  test('does not take a token of another user, nor gives them the store', async () => {
    let token = 'dev:carol';
    const one = on.goEasy({ token: () => token }, device());
    await expect(ended((callbacks) => one.connect({ id: 'mallory', ...callbacks }))).rejects.toMatchObject({ code: 401, content: expect.stringContaining('"carol"') as string });
    expect(one.getConnectionStatus()).toBe('connect_failed');
    token = 'dev:mallory';
    await login(one, 'mallory');
  });
});

describe('what was not sent when the connection ended', () => {
  const cutOff = async (options: Partial<GoEasyOptions>, host: () => Host): Promise<{ one: GoEasy; proxy: FaultProxy }> => {
    const proxy = await FaultProxy.start(Number(new URL(on.server.url).port));
    const one = on.goEasy({ host: on.server.url.replace(/:\d+/, `:${proxy.port}`), client: { backoff: { min: 10, max: 20 } }, ...options }, host);
    await login(one, 'alice');
    proxy.refuse();
    return { one, proxy };
  };
  const past = async (one: GoEasy, channel: string): Promise<string[]> => {
    const { content } = await ended<{ content: { messages: { content: string }[] } }>((callbacks) => one.pubsub.history({ channel, ...callbacks }));
    return content.messages.map((message) => message.content);
  };

  test.each([
    ['a browser', device],
    ['a mini-program', small],
  ])('goes out when the user is back, and is told then, once: %s', async (_, kind) => {
    const channel = fresh();
    const { one, proxy } = await cutOff({}, kind());
    const told = new Inbox<string>();
    one.pubsub.publish({ channel, message: 'pay 5', onSuccess: () => told.take('stored'), onFailed: ({ content }) => told.take(content) });
    one.disconnect();
    proxy.heal();
    // Another user's connection says nothing of it.
    await login(one, 'bob');
    await logout(one);
    expect(told.all).toEqual([]);
    await login(one, 'alice');
    expect(await told.until(1)).toEqual(['stored']);
    expect(await past(one, channel)).toEqual(['pay 5']);
    expect(told.all).toHaveLength(1);
    await proxy.close();
  });

  test('waits, too, for a user whom the server refused meanwhile', async () => {
    const channel = fresh();
    let token = 'dev:alice';
    const { one, proxy } = await cutOff({ token: () => token }, device());
    const told = new Inbox<string>();
    one.pubsub.publish({ channel, message: 'pay 5', onSuccess: () => told.take('stored'), onFailed: ({ content }) => told.take(content) });
    token = 'nobody knows this';
    proxy.heal();
    const refused = new Inbox<string>();
    one.disconnect();
    one.connect({ id: 'alice', onFailed: ({ content }) => refused.take(content) });
    await refused.until(1);
    expect(one.getConnectionStatus()).toBe('connect_failed');
    token = 'dev:alice';
    await login(one, 'alice');
    expect(await told.until(1)).toEqual(['stored']);
    expect(await past(one, channel)).toEqual(['pay 5']);
    await proxy.close();
  });

  test.each([
    ['Node', nodeHost],
    ['a browser without a database', bare],
  ])('fails at once where nothing lasts: %s', async (_, host) => {
    const channel = fresh();
    const { one, proxy } = await cutOff({}, host);
    const failed = said(one, channel, 'pay 5');
    one.disconnect();
    await expect(failed).rejects.toMatchObject({ code: 408 });
    proxy.heal();
    await login(one, 'alice');
    expect(await past(one, channel)).toEqual([]);
    await proxy.close();
  });

  test('cannot be known where the store has lost it', async () => {
    const kept = new Map<string, Uint8Array>();
    const { one, proxy } = await cutOff({ client: { store: lasting(kept), backoff: { min: 10, max: 20 } } }, nodeHost);
    const failed = said(one, fresh(), 'pay 5').catch((error: GoEasyError) => error);
    one.disconnect();
    await new Promise((resolve) => setImmediate(resolve));
    proxy.heal();
    const cleared = ended((callbacks) => one.connect({ id: 'alice', ...callbacks }));
    kept.clear();
    await cleared;
    expect(await failed).toMatchObject({ code: 408, content: expect.stringContaining('publish.uncertain') as string });
    await proxy.close();
  });
});

test('a GoEasy may leave the platform to its client', async () => {
  const one = makeGoEasy({ createClient }).getInstance({ host: on.server.url, appkey: 'default', modules: ['pubsub'] });
  await login(one, 'alice');
  await logout(one);
});
