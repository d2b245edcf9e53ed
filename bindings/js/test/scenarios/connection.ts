import { type Scenario, codeOf, once, reaches } from './world.js';

export const connection: Record<string, Scenario> = {
  'connects, and says so': {
    steps: [
      async (world) => {
        const client = world.client('alice');
        const states: string[] = [client.state];
        client.on('state', (state) => states.push(state));
        await client.connect();
        const user = client.user === world.user('alice');
        await client.close();
        return { states, user, after: client.state };
      },
    ],
    expected: { states: ['idle', 'connecting', 'online', 'closed'], user: true, after: 'closed' },
  },
  'takes the next address where the first is dead': {
    steps: [
      async (world) => {
        await world.control('refuse');
        const client = world.client('alice', { url: [world.places.proxied, world.places.url] });
        await client.connect();
        return client.state;
      },
    ],
    expected: 'online',
  },
  'a refused token ends it': {
    steps: [
      async (world) => {
        const client = world.client('alice', { token: 'forged' });
        return { code: await codeOf(() => client.connect()), state: client.state };
      },
    ],
    expected: { code: 'auth.invalid', state: 'closed' },
  },
  'fetches a new token before the old one expires': {
    steps: [
      async (world) => {
        const reasons: string[] = [];
        let refreshed!: () => void;
        const twice = new Promise<void>((resolve) => (refreshed = resolve));
        const client = world.client('alice', {
          token: ({ reason }) => {
            reasons.push(reason);
            if (reasons.length === 2) refreshed();
            return world.token('alice', reasons.length === 1 ? 2 : 3600);
          },
        });
        const states: string[] = [];
        client.on('state', (state) => states.push(state));
        await client.connect();
        await twice;
        const { duplicate } = await client.channel(world.channel()).publish('hi').stored;
        return { reasons, states: [...states], duplicate };
      },
    ],
    expected: { reasons: ['connect', 'expiring'], states: ['connecting', 'online'], duplicate: false },
  },
  'asks again for a token that could not be had': {
    steps: [
      async (world) => {
        let calls = 0;
        const client = world.client('alice', {
          token: async () => {
            if (++calls === 1) throw new TypeError('Failed to fetch');
            return world.token('alice', 3600);
          },
        });
        await client.connect();
        return { calls, state: client.state };
      },
    ],
    expected: { calls: 2, state: 'online' },
  },
  'follows what the host says of the network and the app': {
    steps: [
      async (world) => {
        const client = world.client('alice', { url: world.places.proxied });
        await client.connect();
        client.lifecycle('background');
        client.lifecycle('foreground');
        client.lifecycle('offline');
        await world.control('cut');
        await reaches(client, 'recovering');
        const { current } = client.connection;
        // Offline it does not try at once, though the pause between attempts is 500 ms at most.
        const isPatient = current.state === 'recovering' && current.retryAt - Date.now() > 5000;
        const receipt = client.channel(world.channel()).publish('later');
        await receipt.queued;
        client.lifecycle('online');
        await receipt.stored;
        return { isPatient, state: client.state };
      },
    ],
    expected: { isPatient: true, state: 'online' },
  },
  'disconnects and comes back': {
    steps: [
      async (world) => {
        const client = world.client('alice');
        const room = client.channel(world.channel());
        const subscribed = once((handler) => room.on('subscribed', handler));
        await subscribed;
        client.disconnect();
        await reaches(client, 'idle');
        const again = once((handler) => room.on('subscribed', handler));
        await client.connect();
        await again;
        return client.state;
      },
    ],
    expected: 'online',
  },
};
