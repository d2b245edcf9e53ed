import type { Message } from 'moorline';
import { type Command, type Scenario, type World, codeOf, once, reaches } from './world.js';

/** Publishes before, during and after a fault; everything must arrive once and in order. */
function survives(during: (world: World, published: Promise<unknown>) => Promise<void>): Scenario {
  return {
    steps: [
      async (world) => {
        const name = world.channel();
        const url = world.places.proxied;
        const [alice, bob] = [world.client('alice', { url, connectTimeout: 2000 }), world.client('bob', { url, connectTimeout: 2000 })];
        const room = bob.channel(name, { qos: 2 });
        const received: unknown[] = [];
        let whole!: () => void;
        const all = new Promise<void>((resolve) => (whole = resolve));
        room.on('message', (message: Message) => {
          received.push(message.data);
          if (message.data === 29) whole();
        });
        await once((handler) => room.on('subscribed', handler));
        const writer = alice.channel(name, { qos: 2 });
        const publish = (from: number): Promise<unknown> =>
          Promise.all(Array.from({ length: 10 }, (_, i) => writer.publish(from + i)).map((receipt) => receipt.stored));
        await publish(0);
        const middle = publish(10);
        await during(world, middle);
        await middle;
        await publish(20);
        await all;
        return received.map(Number).join(' ');
      },
    ],
    expected: Array.from({ length: 30 }, (_, i) => i).join(' '),
  };
}

const does = (...commands: Command[]) => async (world: World): Promise<void> => {
  for (const command of commands) await world.control(command);
};

export const faults: Record<string, Scenario> = {
  'goes on after a cut': survives(does('cut')),
  'goes on after cut upon cut': survives(does('cut', 'cut', 'cut')),
  'goes on when a black hole lets go': survives(does('black-hole', 'heal')),
  'goes on over a slow line': survives(async (world, published) => {
    await world.control('delay', 100);
    await published;
  }),
  'goes on over a killed server': survives(does('kill', 'start')),
  'gives up a connection that is mute': {
    steps: [
      async (world) => {
        const alice = world.client('alice', { url: world.places.proxied, connectTimeout: 2000 });
        await alice.connect();
        await world.control('black-hole');
        const [, reason] = await new Promise<[string, { kind: string }]>((resolve) => {
          alice.on('state', (state, why) => state === 'recovering' && resolve([state, why]));
          // The device says that something changed: the client asks the server for a sign instead of waiting for silence.
          alice.lifecycle('wake');
        });
        const receipt = alice.channel(world.channel()).publish('kept');
        await receipt.queued;
        await world.control('heal');
        await receipt.stored;
        return { reason: reason.kind, state: receipt.state };
      },
    ],
    expected: { reason: 'silent', state: 'stored' },
  },
  'says why it is not connected': {
    steps: [
      async (world) => {
        await world.control('refuse');
        const client = world.client('alice', { url: world.places.proxied });
        const kinds = new Set<string>();
        client.on('state', (_state, { kind }) => kinds.add(kind));
        void client.connect();
        const current = await new Promise<{ state: string; cause?: { code: string } }>((resolve) => {
          client.connection.subscribe(() => {
            const now = client.connection.current;
            if (now.state === 'connecting' && now.attempt > 1) resolve(now);
          });
        });
        await world.control('heal');
        await reaches(client, 'online');
        return { state: current.state, cause: current.cause?.code, kinds: [...kinds] };
      },
    ],
    expected: { state: 'connecting', cause: 'transport.unreachable', kinds: ['requested', 'transport-failed', 'welcome'] },
  },
  'keeps what was published offline over a reload': {
    steps: [
      async (world) => {
        await world.control('refuse');
        const name = world.channel();
        const alice = world.client('alice', { url: world.places.proxied }, `outbox-${world.id}`);
        const room = alice.channel(name, { qos: 2 });
        const receipts = Array.from({ length: 5 }, (_, i) => room.publish(i));
        await Promise.all(receipts.map((receipt) => receipt.queued));
        return { name, ids: receipts.map((receipt) => receipt.id) };
      },
      async (world, before) => {
        const { name, ids } = before as { name: string; ids: string[] };
        await world.control('heal');
        const alice = world.client('alice', { url: world.places.proxied }, `outbox-${world.id}`);
        await alice.connect();
        const { restored } = alice;
        await Promise.all(restored.map((receipt) => receipt.stored));
        const { messages } = await alice.channel(name).history();
        const same = (found: readonly string[]): boolean => JSON.stringify(found) === JSON.stringify(ids);
        return {
          restored: same(restored.map((receipt) => receipt.id)), stored: same(messages.map((message) => message.id)),
          data: messages.map((message) => message.data), outbox: alice.outbox,
        };
      },
    ],
    expected: { restored: true, stored: true, data: [0, 1, 2, 3, 4], outbox: { messages: 0, bytes: 0 } },
  },
  'wipes its store on a logout': {
    steps: [
      async (world) => {
        await world.control('refuse');
        const alice = world.client('alice', { url: world.places.proxied }, `wipe-${world.id}`);
        await alice.channel(world.channel()).publish('secret').queued;
        await alice.close({ wipe: true });
        return null;
      },
      async (world) => {
        await world.control('heal');
        const client = world.client('bob', {}, `wipe-${world.id}`);
        const code = await codeOf(() => client.connect());
        return { code, restored: client.restored.length };
      },
    ],
    expected: { code: {}, restored: 0 },
  },
};
