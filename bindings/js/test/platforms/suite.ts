import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Lab } from '../browser/lab.js';
import { scenarios } from '../scenarios/index.js';
import { Device } from './device.js';
import type { Boot } from './engine.js';

/** Runs every scenario on a device, against the real server. Between steps the app's clients are made anew over the same storage. `patience`:
 * what a scenario may take, in ms. */
export function suite(title: string, entry: string, platform: string, boot: Boot, patience = 20_000): void {
  let lab: Lab;
  let device: Device;
  beforeAll(async () => {
    lab = await Lab.start();
    device = await Device.start(entry, platform, boot);
  }, 60_000);
  afterAll(async () => {
    device?.close();
    await lab?.close();
  });
  beforeEach(() => lab.proxy.heal());

  test.each(Object.keys(scenarios))(`${title}: %s`, async (name) => {
    const { steps, expected } = scenarios[name]!;
    const id = randomUUID().slice(0, 8);
    let facts: unknown = null;
    for (const step of steps.keys()) facts = await device.step({ name, step, places: lab.places, id, before: facts });
    expect(facts).toEqual(expected);
  }, patience);
}
