import 'fake-indexeddb/auto';
import { randomUUID } from 'node:crypto';
import * as moorline from 'moorline/asm';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Lab } from '../browser/lab.js';
import { World, scenarios } from '../scenarios/index.js';

let lab: Lab;
beforeAll(async () => void (lab = await Lab.start()));
afterAll(() => lab?.close());
beforeEach(() => lab.proxy.heal());

test.each(Object.keys(scenarios))('asm in node: %s', async (name) => {
  const { steps, expected } = scenarios[name]!;
  const id = randomUUID().slice(0, 8);
  let facts: unknown = null;
  for (const step of steps) {
    const world = new World(moorline, lab.places, id);
    facts = JSON.parse(JSON.stringify((await step(world, facts)) ?? null));
    await world.close();
  }
  expect(facts).toEqual(expected);
});
