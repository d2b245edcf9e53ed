import 'fake-indexeddb/auto';
import { randomUUID } from 'node:crypto';
import * as moorline from 'moorline';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Lab } from '../browser/lab.js';
import { World, scenarios } from './index.js';

let lab: Lab;
beforeAll(async () => void (lab = await Lab.start()));
afterAll(() => lab?.close());
beforeEach(() => lab.proxy.heal());

test.each(Object.keys(scenarios))('node: %s', async (name) => {
  const { steps, expected } = scenarios[name]!;
  const id = randomUUID().slice(0, 8);
  let facts: unknown = null;
  for (const step of steps) {
    const world = new World(moorline, lab.places, id);
    facts = JSON.parse(JSON.stringify((await step(world, facts)) ?? null));
    // There is no page to be loaded anew: what comes close is a client that is closed.
    await world.close();
  }
  expect(facts).toEqual(expected);
});
