// A page that is hidden for minutes gets its timers once a minute. Here by a host whose timers do the same, in the server's time:
// what a browser's minute would make minutes long. test/browser/minute.test.ts has the browser itself.
import { describe, expect, it } from 'vitest';

import type { TestHost, TestServer } from '../../src/testing/index.js';
import { type App, open, start } from './helpers.js';

const minute = 60_000;

/** The device, as a hidden page has it: its timers fire at whole minutes. */
function throttled(server: TestServer, host: TestHost): TestHost {
  const timer = host.timer.bind(host);
  host.timer = (ms, fire) => timer(Math.ceil((server.now + ms) / minute) * minute - server.now, fire);
  return host;
}

async function hidden(): Promise<{ server: TestServer; app: App }> {
  const server = await start();
  const app = open(server, 'alice', { host: throttled(server, server.host()) });
  await server.settle();
  expect(app.states).toEqual(['connecting', 'online']);
  return { server, app };
}

describe('timers that come once a minute', () => {
  it('end no connection that is served, and hold back no message', async () => {
    const { server, app } = await hidden();
    for (let round = 0; round < 60; round++) {
      await server.advance(minute);
      server.publish('room', `${round}`);
      await server.settle();
      expect(app.shown).toHaveLength(round + 1);
    }
    expect(app.states).toEqual(['connecting', 'online']);
  });

  it('end one that is dead within three of them, and what was missed comes', async () => {
    const { server, app } = await hidden();
    await server.advance(5 * minute);
    server.blackhole(app.host);
    server.publish('room', 'missed');
    const receipt = app.room.publish('written');
    const since = server.now;
    await server.until(() => app.client.state === 'recovering', { within: 3 * minute });
    server.heal(app.host);
    await server.until(() => receipt.state === 'stored', { within: 2 * minute });
    await server.settle();
    expect(server.now - since).toBeLessThanOrEqual(5 * minute);
    expect(app.shown).toEqual(['missed', 'written']);
  });

  it('bring one back within a minute of a cut, and of a server that was restarted', async () => {
    const { server, app } = await hidden();
    for (const end of [() => server.cut(app.client), () => server.restart()]) {
      await server.advance(minute);
      end();
      server.publish('room', 'missed');
      await server.until(() => app.client.state === 'online', { within: minute });
      await server.settle();
    }
    expect(app.shown).toEqual(['missed', 'missed']);
    expect(app.states.slice(2)).toEqual(['recovering', 'online', 'recovering', 'online']);
  });
});
