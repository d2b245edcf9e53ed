import { createClient } from 'moorline';
import { type BackendCall, type LoggedMessage, type Published, type ServerConnection, type ServerMember, type TestHost, type TestServer, createTestServer, describeHost } from 'moorline/testing';
import { describe, expectTypeOf, test, vi } from 'vitest';

declare const server: TestServer;

describe('what a test types', () => {
  test('a server is made with options', () => {
    expectTypeOf(createTestServer()).toEqualTypeOf<Promise<TestServer>>();
    void createTestServer({
      seed: 7, now: new Date(0), timers: vi, calls: ['default', 'shop'], limits: { ping: 5_000 }, rules: [{ prefix: 'chat:', maxCount: 10 }],
      users: { alice: { 'chat:*': ['subscribe', 'publish', 'presence', 'history'], 'cart.*': ['call'] } },
    });
    // @ts-expect-error there is no such limit
    void createTestServer({ limits: { mesage: 1 } });
    // @ts-expect-error nothing allows that
    void createTestServer({ users: { alice: { '*': ['read'] } } });
    // @ts-expect-error a rule is for a beginning of names
    void createTestServer({ rules: [{ maxCount: 10 }] });
    // @ts-expect-error the runner's timers, and not a switch
    void createTestServer({ timers: true });
  });

  test('a device is a host of a client', () => {
    const host = server.host({ name: 'browser' });
    expectTypeOf(host).toEqualTypeOf<TestHost>();
    const client = createClient({ url: server.url, token: server.token('alice', { ttl: 60_000, grants: { '*': ['call'] } }), host });
    for (const target of [client, host, 'alice']) server.cut(target);
    host.storage.fail(new Error('broken'));
    host.signal('background');
    expectTypeOf(host.errors).toEqualTypeOf<unknown[]>();
    // @ts-expect-error a platform is a name
    server.host('browser');
    // @ts-expect-error there is no such signal
    host.signal('asleep');
    // @ts-expect-error what is inside stays there
    host.links;
    // @ts-expect-error who is cut off is a client, a host or a user
    server.cut(7);
    // @ts-expect-error a device is the server's
    createClient({ url: server.url, host: 'alice' });
  });

  test('time is in ms, and moves when it is awaited', () => {
    expectTypeOf(server.settle()).toEqualTypeOf<Promise<void>>();
    expectTypeOf(server.advance(1)).toEqualTypeOf<Promise<void>>();
    expectTypeOf(server.until(() => true, { within: 5 })).toEqualTypeOf<Promise<void>>();
    expectTypeOf(server.now).toEqualTypeOf<number>();
    // @ts-expect-error ms, and not a text
    void server.advance('1s');
    // @ts-expect-error a condition is a function
    void server.until(true);
    // @ts-expect-error time is moved by `advance`
    server.now = 0;
  });

  test('what the backend does and sees', () => {
    expectTypeOf(server.publish('room', { text: 'hi' }, { user: 'bot', qos: 0 })).toEqualTypeOf<Published>();
    expectTypeOf(server.messages('room')).toEqualTypeOf<LoggedMessage[]>();
    expectTypeOf(server.members('room')).toEqualTypeOf<ServerMember[]>();
    expectTypeOf(server.connections()).toEqualTypeOf<ServerConnection[]>();
    // @ts-expect-error a backend has no outbox: at most QoS 1
    server.publish('room', 'hi', { qos: 2 });
    // @ts-expect-error a user is found by name
    server.revoke(server.host());
  });

  test('calls are answered by a function', () => {
    const off = server.onCall('cart.add', async (call) => {
      expectTypeOf(call).toEqualTypeOf<BackendCall>();
      expectTypeOf(call.data).toEqualTypeOf<unknown>();
      expectTypeOf(call.user).toEqualTypeOf<string | undefined>();
      expectTypeOf(call.signal).toEqualTypeOf<AbortSignal>();
      return { items: 1 };
    }, { delay: 100 });
    expectTypeOf(off).toEqualTypeOf<() => void>();
    // @ts-expect-error an answer without anybody who gives it
    server.onCall('cart.add');
    // @ts-expect-error a function answers
    server.onCall('cart.add', { items: 1 });
    // @ts-expect-error what was asked is the call's `data`
    server.onCall('cart.add', (call) => call.sku);
    // @ts-expect-error there is no such option
    server.onCall('cart.add', () => 1, { timeout: 5 });
  });

  test('a host is checked with a runner', () => {
    describeHost('mine', () => server.host(), { describe: () => undefined, it: () => undefined, url: 'ws://127.0.0.1/ws' });
    // @ts-expect-error it makes a host
    describeHost('mine', () => ({ name: 'mine' }));
  });
});
