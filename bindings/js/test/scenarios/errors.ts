import type { ChannelEvents } from 'moorline';
import { type Scenario, codeOf, take } from './world.js';

export const errors: Record<string, Scenario> = {
  'mistakes are named on the spot': {
    steps: [
      async (world) => {
        const client = world.client('alice');
        const room = client.channel(world.channel());
        const circular: { self?: unknown } = {};
        circular.self = circular;
        const facts = {
          channel: await codeOf(() => client.channel('room:*')),
          circular: await codeOf(() => room.publish(circular)),
          nothing: await codeOf(() => room.publish(undefined)),
          large: await codeOf(() => room.publish('x'.repeat(64 * 1024 + 1))),
          id: await codeOf(() => room.publish('x', { id: '' })),
          event: await codeOf(() => room.on('massage' as keyof ChannelEvents, () => undefined)),
          url: await codeOf(() => world.moorline.createClient({ url: 'https://example.com' })),
        };
        await client.close();
        return { ...facts, closed: await codeOf(() => room.publish('x')) };
      },
    ],
    expected: {
      channel: 'channel.invalid', circular: 'request.malformed', nothing: 'request.malformed', large: 'limit.message', id: 'request.malformed',
      event: 'request.malformed', url: 'request.malformed', closed: 'client.closed',
    },
  },
  'a channel that is not granted is refused': {
    steps: [
      async (world) => {
        const client = world.client('alice', { token: () => world.token('alice', 3600, 'lobby:*') });
        const room = client.channel(world.channel());
        const error = await take(1, room.messages()).catch((error: unknown) => error);
        const { isMoorlineError } = world.moorline;
        return {
          read: isMoorlineError(error) && [error.code, error.number, error.origin, error.retryable],
          publish: await codeOf(() => room.publish('x').stored), history: await codeOf(() => room.history()), state: client.state,
        };
      },
    ],
    expected: { read: ['channel.denied', 411, 'server', false], publish: 'channel.denied', history: 'channel.denied', state: 'online' },
  },
};
