import type { Channel, Client, Connection, Member, Message, Receipt, ReceiptState } from 'moorline';
import { type Followed, type ListedMessage, type MessageList, moorline, useChannel, useClient, useConnection, useEvent, useMessages, usePresence, useSource } from 'moorline/vue';
import { describe, expectTypeOf, test } from 'vitest';
import { type Ref, createApp, ref } from 'vue';

declare const client: Client;
declare const receipt: Receipt;

describe('what a Vue app types', () => {
  test('the plugin takes a client', () => {
    createApp({}).use(moorline, client);
    // @ts-expect-error a plugin without a client
    createApp({}).use(moorline);
    // @ts-expect-error the options of a client are none: the app makes it, and closes it
    createApp({}).use(moorline, { url: 'ws://127.0.0.1/ws' });
  });

  test('functions give refs to read', () => {
    expectTypeOf(useClient()).toEqualTypeOf<Client>();
    expectTypeOf(useConnection()).toEqualTypeOf<Followed<Connection>>();
    expectTypeOf(useConnection().value.state).toEqualTypeOf<'idle' | 'connecting' | 'online' | 'recovering' | 'closed'>();
    const room = useChannel('room', { presence: 'join', state: { nick: 'Al' } });
    expectTypeOf(room).toEqualTypeOf<Followed<Channel>>();
    expectTypeOf(useMessages(room, { keep: 100 })).toEqualTypeOf<Followed<MessageList>>();
    expectTypeOf(useMessages(room).value.messages).toEqualTypeOf<readonly ListedMessage[]>();
    expectTypeOf(usePresence(room).value.list).toEqualTypeOf<readonly Member[] | undefined>();
    expectTypeOf(useSource(receipt.progress)).toEqualTypeOf<Followed<ReceiptState>>();
    // @ts-expect-error what is followed is not the app's to change
    useConnection().value = { state: 'idle' };
  });

  test('names, options and channels may be refs, getters or values', () => {
    const name: Ref<string> = ref('room');
    expectTypeOf(useChannel(name)).toEqualTypeOf<Followed<Channel>>();
    expectTypeOf(useChannel(() => name.value, () => ({ qos: 2 as const }))).toEqualTypeOf<Followed<Channel>>();
    useMessages(() => useChannel(name).value);
    useMessages(client.channel('room'));
    useSource(() => client.connection);
  });

  test('an event has the arguments of its name', () => {
    const room = useChannel('room');
    useEvent(room, 'message', (message) => expectTypeOf(message).toEqualTypeOf<Message>());
    // @ts-expect-error there is no such event
    useEvent(room, 'messages', () => undefined);
    // @ts-expect-error a message is no text
    useEvent(room, 'message', (text: string) => text);
  });

  test('wrong uses do not compile', () => {
    // @ts-expect-error a channel is found by its name
    useChannel();
    // @ts-expect-error a name is a string
    useChannel(ref(7));
    // @ts-expect-error nothing begins there
    useChannel('room', { since: 'yesterday' });
    // @ts-expect-error a handle, not a name
    useMessages('room');
    // @ts-expect-error there is no such option
    useMessages(client.channel('room'), { limit: 5 });
    // @ts-expect-error a handle, not a client
    usePresence(client);
    // @ts-expect-error a client is no source; its `connection` is
    useSource(client);
  });
});
