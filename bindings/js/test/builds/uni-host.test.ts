import { afterAll, describe, expect, test } from 'vitest';
import type { Host } from '../../src/host/host.js';
import { type Uni, UniHost } from '../../src/host/uni.js';
import { type Runner, describeHost } from '../../src/testing/index.js';
import { Server } from '../kit/server.js';
import { closedEarly, twoOfOneMillisecond } from '../platforms/early.js';
import { ground } from '../platforms/sim/ground.js';
import { html5plus } from '../platforms/sim/html5plus.js';
import { Machine } from '../platforms/sim/machine.js';
import { emptyApp } from './frame.js';

const server = await Server.start();
afterAll(() => server.remove());

/** A host over the service layer of uni-app. Its clock is that of this process. */
function hostOf(machine: Machine): Host {
  const { plus, weex } = html5plus(machine, () => undefined);
  const { uni } = emptyApp({ plus, weex, setTimeout, clearTimeout, Date });
  const host = new UniHost(uni as Uni);
  host.report = () => undefined;
  return host;
}

// Of a URL that is none the native module says nothing; the client gives a host no such URL.
const it: Runner['it'] = (title, body) => title !== 'does not throw at a URL that is none' && test(title, body);
describeHost('uni, over the service layer', () => hostOf(new Machine(ground)), { describe, it, url: server.url });

test('what happens to the app and the device is told until nobody listens', async () => {
  const machine = new Machine(ground);
  const heard: string[] = [];
  const stop = hostOf(machine).signals!((signal) => heard.push(signal));
  // The service layer asks for the kind of network, and is answered later.
  const goThrough = async (): Promise<void> => {
    machine.hide();
    machine.show();
    for (const type of ['wifi', 'none', '4g', '4g']) {
      machine.network(type !== 'none', type);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await goThrough();
  expect(heard).toEqual(['background', 'foreground', 'online', 'offline', 'online', 'online']);
  stop();
  await goThrough();
  expect(heard.length).toBe(6);
});

describe('sockets over the service layer', () => {
  test('two of one millisecond are two', () => twoOfOneMillisecond(hostOf, server.url));
  test('one that is closed before it opens does not stay', () => closedEarly(hostOf, server.url));
});
