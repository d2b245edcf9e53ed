import { assertType, describe, expectTypeOf, test } from 'vitest';
import { type Channel, type Client, type Connection, type Message, type Receipt, type Source, createClient, isMoorlineError } from 'moorline';

describe('what an app types', () => {
  const client = createClient({ url: 'ws://127.0.0.1/ws', token: async ({ reason }) => `token for ${reason}` });
  const room = client.channel('room', { qos: 2, durable: true, presence: 'join', state: { nick: 'Al' }, since: { last: 5 } });

  test('has types of its own', () => {
    expectTypeOf(client).toEqualTypeOf<Client>();
    expectTypeOf(room).toEqualTypeOf<Channel>();
    expectTypeOf(client.connection).toEqualTypeOf<Source<Connection>>();
    expectTypeOf(room.publish({ text: 'hi' })).toEqualTypeOf<Receipt>();
    expectTypeOf(room.on('message', (message) => expectTypeOf(message).toEqualTypeOf<Message>())).toEqualTypeOf<() => void>();
    client.on('state', (state) => expectTypeOf(state).toEqualTypeOf<'idle' | 'connecting' | 'online' | 'recovering' | 'closed'>());
    expectTypeOf<Message['data']>().toEqualTypeOf<unknown>();
  });

  test('narrows the connection by its state', () => {
    const { current } = client.connection;
    if (current.state === 'online') expectTypeOf(current.since).toEqualTypeOf<number>();
    if (current.state === 'recovering') expectTypeOf(current.attempt).toEqualTypeOf<number>();
  });

  test('calls what the backend knows, and its answer is anything', () => {
    expectTypeOf(client.call('cart.add', { sku: 7 }, { timeout: 5_000, id: 'c-1' })).toEqualTypeOf<Promise<unknown>>();
    expectTypeOf(client.call('cart.clear')).toEqualTypeOf<Promise<unknown>>();
    // @ts-expect-error a call is for a method
    void client.call();
    // @ts-expect-error ms, and not a text
    void client.call('cart.add', 1, { timeout: '5s' });
  });

  test('knows an error by its code, also one that is not known yet', () => {
    const error: unknown = undefined;
    if (isMoorlineError(error)) {
      assertType<boolean>(error.code === 'auth.expired');
      assertType<boolean>(error.code === 'shop.sold_out');
    }
  });

  test('refuses what is wrong', () => {
    createClient({ url: 'ws://127.0.0.1/ws', store: (host) => host.store?.('alice') });
    // @ts-expect-error a store is no name
    createClient({ url: 'ws://127.0.0.1/ws', store: 'alice' });
    // @ts-expect-error a client needs a url
    createClient({});
    // @ts-expect-error there is no QoS 3
    client.channel('room', { qos: 3 });
    // @ts-expect-error nothing begins there
    client.channel('room', { since: 'yesterday' });
    // @ts-expect-error an offset without its epoch means nothing
    client.channel('room', { since: { offset: 3 } });
    // @ts-expect-error there is no such event
    room.on('messages', () => undefined);
    // @ts-expect-error a header is a string
    room.publish('x', { headers: { a: 1 } });
    // @ts-expect-error a signal of the host's, by its name
    client.lifecycle('asleep');
    // @ts-expect-error what is inside stays there
    client.session;
  });
});
