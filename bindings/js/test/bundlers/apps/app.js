// What every bundler is given: an app that publishes a message, and shows that it has received it.
import { createClient, memory } from 'moorline';

export async function received(url, user) {
  const client = createClient({ url, token: `dev:${user}`, store: memory() });
  const room = client.channel(`room:${user}`, { since: 'first' });
  const messages = room.messages();
  room.publish({ text: 'hi' });
  const { value } = await messages.next();
  await client.close();
  return value.data.text;
}
