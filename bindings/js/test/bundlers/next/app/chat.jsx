'use client';
import { useEffect } from 'react';
import { createClient, memory } from 'moorline';

// Made while the server prerenders, too: nothing connects before it is used.
const early = createClient({ url: 'ws://127.0.0.1:1/ws', store: memory() });

export function Chat() {
  useEffect(() => {
    globalThis.received = async (url, user) => {
      const client = createClient({ url, token: `dev:${user}`, store: memory() });
      const room = client.channel(`room:${user}`, { since: 'first' });
      const messages = room.messages();
      room.publish({ text: 'hi' });
      const { value } = await messages.next();
      await client.close();
      return value.data.text;
    };
  }, []);
  return <p>{early.state}</p>;
}
