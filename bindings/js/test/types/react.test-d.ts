import type { Channel, Client, Connection, Member, Message, MoorlineError, Receipt, ReceiptState, Reset } from 'moorline';
import { type ListOptions, type ListedMessage, type MessageList, MoorlineProvider, useChannel, useClient, useConnection, useEvent, useMessages, usePresence, useSource } from 'moorline/react';
import { type ReactNode, createElement } from 'react';
import { describe, expectTypeOf, test } from 'vitest';

declare const client: Client;
declare const receipt: Receipt;

describe('what a React app types', () => {
  test('the provider takes a client and children', () => {
    expectTypeOf(MoorlineProvider).returns.toEqualTypeOf<ReactNode>();
    createElement(MoorlineProvider, { client }, 'children');
    createElement(MoorlineProvider, { client, children: createElement('p') });
    // @ts-expect-error a provider without a client
    createElement(MoorlineProvider, {});
    // @ts-expect-error the options of a client are none: the app makes it, and closes it
    createElement(MoorlineProvider, { client: { url: 'ws://127.0.0.1/ws' } });
    // @ts-expect-error there is no such property
    createElement(MoorlineProvider, { client, url: 'ws://127.0.0.1/ws' });
  });

  test('hooks have types of their own', () => {
    expectTypeOf(useClient()).toEqualTypeOf<Client>();
    expectTypeOf(useConnection()).toEqualTypeOf<Connection>();
    const room = useChannel('room', { presence: 'join', state: { nick: 'Al' }, since: { last: 5 } });
    expectTypeOf(room).toEqualTypeOf<Channel>();
    expectTypeOf(useMessages(room, { keep: 100, page: 20 })).toEqualTypeOf<MessageList>();
    expectTypeOf(usePresence(room).count).toEqualTypeOf<number | undefined>();
    expectTypeOf(usePresence(room).list).toEqualTypeOf<readonly Member[] | undefined>();
    expectTypeOf(useSource(receipt.progress)).toEqualTypeOf<ReceiptState>();
    expectTypeOf(useSource(client.connection, { state: 'idle' })).toEqualTypeOf<Connection>();
  });

  test('a list says how far each message is', () => {
    const { messages, error, reset, loadOlder, publish, discard } = useMessages(useChannel('room'));
    expectTypeOf(messages).toEqualTypeOf<readonly ListedMessage[]>();
    expectTypeOf(messages[0]!.state).toEqualTypeOf<'queued' | 'sent' | 'stored' | 'failed' | 'uncertain' | 'received'>();
    expectTypeOf(messages[0]!.receipt).toEqualTypeOf<Receipt | undefined>();
    expectTypeOf(messages[0]!.data).toEqualTypeOf<unknown>();
    expectTypeOf(error).toEqualTypeOf<MoorlineError | undefined>();
    expectTypeOf(reset).toEqualTypeOf<Reset | undefined>();
    expectTypeOf(loadOlder()).toEqualTypeOf<Promise<void>>();
    expectTypeOf(publish('hi', { id: 'm1' })).toEqualTypeOf<Receipt>();
    discard(messages[0]!);
    // @ts-expect-error what is listed is not the app's to change
    messages.push(messages[0]!);
    // @ts-expect-error what is listed is not the app's to change
    messages[0]!.text = 'other';
    // @ts-expect-error a message is taken off the list, not its id
    discard('m1');
  });

  test('an event has the arguments of its name', () => {
    const room = useChannel('room');
    useEvent(room, 'message', (message) => expectTypeOf(message).toEqualTypeOf<Message>());
    useEvent(room, 'reset', (reset) => expectTypeOf(reset).toEqualTypeOf<Reset>());
    // @ts-expect-error there is no such event
    useEvent(room, 'messages', () => undefined);
    // @ts-expect-error a message is no text
    useEvent(room, 'message', (text: string) => text);
  });

  test('wrong uses do not compile', () => {
    // @ts-expect-error a channel is found by its name
    useChannel();
    // @ts-expect-error there is no QoS 3
    useChannel('room', { qos: 3 });
    // @ts-expect-error a handle, not a name
    useMessages('room');
    // @ts-expect-error a number of messages
    useMessages(useChannel('room'), { keep: 'all' });
    // @ts-expect-error there is no such option
    expectTypeOf<ListOptions>().toMatchObjectType<{ limit?: number }>();
    // @ts-expect-error a handle, not a client
    usePresence(client);
    // @ts-expect-error a client is no source; its `connection` is
    useSource(client);
    // @ts-expect-error `useConnection` takes the nearest provider's client
    useConnection(client);
  });
});
