import { expect, test } from 'vitest';
import { fresh, kit, once, take } from './kit/kit.js';

const { client } = kit();

test('a message goes from one client to the other', async () => {
  const name = fresh();
  const [alice, bob] = [client('alice'), client('bob')];
  const room = bob.channel(name);
  const messages = room.messages();
  await once((handler) => room.on('subscribed', handler));
  const receipt = alice.channel(name).publish({ text: 'hi' }, { headers: { a: '1' } });
  expect(receipt.state).toBe('queued');
  const stored = await receipt.stored;
  expect(stored).toEqual({ epoch: stored.epoch, offset: 1, duplicate: false });
  const [message] = await take(1, messages);
  expect(message).toEqual({
    channel: name, id: receipt.id, epoch: stored.epoch, offset: 1, user: 'alice', time: message!.time, replayed: false,
    redelivered: false, headers: { a: '1' }, data: { text: 'hi' },
  });
  expect(alice.state).toBe('online');
  expect(alice.user).toBe('alice');
});
