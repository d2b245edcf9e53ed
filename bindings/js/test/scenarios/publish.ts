import type { Qos } from 'moorline';
import { type Scenario, codeOf, once, take } from './world.js';

function atQos(qos: Qos): Scenario {
  return {
    steps: [
      async (world) => {
        const name = world.channel();
        const room = world.client('bob').channel(name, { qos });
        const messages = room.messages();
        await once((handler) => room.on('subscribed', handler));
        const alice = world.client('alice');
        await alice.connect();
        const receipt = alice.channel(name).publish({ text: 'hi' }, { qos, headers: { a: '1' } });
        const [message] = await take(1, messages);
        const stored = await receipt.stored.then(({ offset, duplicate }) => ({ offset, duplicate }), (error: { code: string }) => error.code);
        const { data, headers, offset, replayed } = message!;
        return {
          same: message!.id === receipt.id, fromAlice: message!.user === world.user('alice'), data, headers, offset: offset ?? null, replayed,
          stored, state: receipt.state,
        };
      },
    ],
    expected: {
      same: true, fromAlice: true, data: { text: 'hi' }, headers: { a: '1' }, offset: qos === 0 ? null : 1, replayed: false,
      stored: qos === 0 ? 'request.unsupported' : { offset: 1, duplicate: false }, state: qos === 0 ? 'sent' : 'stored',
    },
  };
}

export const publish: Record<string, Scenario> = {
  'publishes at QoS 0': atQos(0),
  'publishes at QoS 1': atQos(1),
  'publishes at QoS 2': atQos(2),
  'carries texts, bytes and values as they are': {
    steps: [
      async (world) => {
        const name = world.channel();
        const room = world.client('bob').channel(name);
        const messages = room.messages();
        await once((handler) => room.on('subscribed', handler));
        const from = world.client('alice').channel(name);
        for (const payload of ['naïve 日本語 🦀 \u0000 end', new Uint8Array([0, 255, 128]), new Uint8Array([1]).buffer, { a: [1, null, 'ü'] }, null, '']) {
          from.publish(payload);
        }
        const received = await take(6, messages);
        return received.map(({ text, bytes, data }) => (bytes ? [...bytes] : text !== undefined ? { text } : { data }));
      },
    ],
    expected: [{ text: 'naïve 日本語 🦀 \u0000 end' }, [0, 255, 128], [1], { data: { a: [1, null, 'ü'] } }, { data: null }, { text: '' }],
  },
  'a receipt says when it is kept, sent and stored': {
    steps: [
      async (world) => {
        const receipt = world.client('alice').channel(world.channel()).publish('hi', { qos: 2 });
        const states: string[] = [receipt.state];
        receipt.progress.subscribe(() => states.push(receipt.state));
        await receipt.queued;
        const { isKept } = receipt;
        await receipt.stored;
        return { states, isKept };
      },
    ],
    expected: { states: ['queued', 'sent', 'stored'], isKept: true },
  },
  'the same id is stored once': {
    steps: [
      async (world) => {
        const room = world.client('alice').channel(world.channel());
        const facts: unknown[] = [];
        for (const text of ['one', 'one']) {
          const { offset, duplicate } = await room.publish(text, { id: 'same' }).stored;
          facts.push([offset, duplicate]);
        }
        facts.push(await codeOf(() => room.publish('another', { id: 'same' }).stored));
        return facts;
      },
    ],
    expected: [[1, false], [1, true], 'publish.reused'],
  },
  'a thousand keep their order': {
    steps: [
      async (world) => {
        const name = world.channel();
        const room = world.client('bob').channel(name, { qos: 2 });
        const messages = room.messages();
        await once((handler) => room.on('subscribed', handler));
        const writer = world.client('alice').channel(name, { qos: 2 });
        for (let i = 0; i < 1000; i++) writer.publish(i);
        const received = await take(1000, messages);
        return received.every((message, i) => message.data === i);
      },
    ],
    expected: true,
  },
  'an outbox that is full says so': {
    steps: [
      async (world) => {
        await world.control('refuse');
        const alice = world.client('alice', { url: world.places.proxied, outbox: { messages: 2 } });
        const room = alice.channel(world.channel());
        const receipts = [room.publish(1), room.publish(2)];
        const code = await codeOf(() => room.publish(3));
        await Promise.all(receipts.map((receipt) => receipt.queued));
        const { outbox } = alice;
        await world.control('heal');
        await Promise.all(receipts.map((receipt) => receipt.stored));
        return { code, outbox, after: alice.outbox };
      },
    ],
    expected: { code: 'limit.outbox', outbox: { messages: 2, bytes: 2 }, after: { messages: 0, bytes: 0 } },
  },
};
