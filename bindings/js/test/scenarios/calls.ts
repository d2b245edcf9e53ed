import { type Scenario, codeOf } from './world.js';

export const calls: Record<string, Scenario> = {
  'the backend answers a call with what it was asked with': {
    steps: [
      async (world) => {
        const client = world.client('alice');
        const values = ['naïve 🦀', { a: [1, null, 'ü'] }, null, 0, ''];
        const answers = await Promise.all(values.map((value) => client.call('echo', value)));
        const bytes = (await client.call('echo', new Uint8Array([0, 255]))) as Uint8Array;
        const who = (await client.call('who', undefined, { id: `call-${world.id}` })) as { id: string; user: string };
        return { answers, bytes: [...bytes], nothing: await client.call('echo'), who: who.user === world.user('alice') && who.id === `call-${world.id}` };
      },
    ],
    expected: { answers: ['naïve 🦀', { a: [1, null, 'ü'] }, null, 0, ''], bytes: [0, 255], nothing: null, who: true },
  },
  'what goes wrong with a call has a code': {
    steps: [
      async (world) => {
        const client = world.client('alice');
        const refused = await client.call('refuse').catch((error: unknown) => error);
        const { isMoorlineError } = world.moorline;
        const over: string[] = [];
        const hangs = (name: string, timeout: number): Promise<unknown> => client.call('hang', 1, { timeout }).catch(() => over.push(name));
        await Promise.all([hangs('patient', 1_000), hangs('hasty', 100)]);
        return {
          over,
          refused: isMoorlineError(refused) && [refused.code, refused.message, refused.origin, refused.retryable],
          failed: await codeOf(() => client.call('fail')), method: await codeOf(() => client.call('no method')),
          late: await codeOf(() => client.call('hang', 1, { timeout: 200 })), timeout: await codeOf(() => client.call('echo', 1, { timeout: 30_001 })),
          large: await codeOf(() => client.call('echo', 'x'.repeat(64 * 1024 + 1))), state: client.state,
        };
      },
    ],
    expected: {
      over: ['hasty', 'patient'],
      refused: ['call.refused.sold_out', 'none left', 'server', false], failed: 'call.failed', method: 'request.malformed', late: 'call.timeout',
      timeout: 'request.malformed', large: 'limit.message', state: 'online',
    },
  },
  'a call needs a grant for its method': {
    steps: [
      async (world) => {
        const client = world.client('alice', { token: () => world.token('alice', 3600, 'ech*') });
        return { granted: await client.call('echo', 1), denied: await codeOf(() => client.call('who')) };
      },
    ],
    expected: { granted: 1, denied: 'call.denied' },
  },
  'a call whose connection ends is uncertain, and not made again': {
    steps: [
      async (world) => {
        const client = world.client('alice', { url: world.places.proxied });
        const id = `cut-${world.id}`;
        const code = await codeOf(() => client.call('cut', null, { id, timeout: 20_000 }));
        return { code, times: await client.call('times', id), after: client.state };
      },
    ],
    expected: { code: 'call.uncertain', times: 1, after: 'online' },
  },
};
