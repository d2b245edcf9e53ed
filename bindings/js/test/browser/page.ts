// What a page under test runs: the scenarios, called by name from outside.
import { createClient, indexedDb, isMoorlineError, memory } from 'moorline';
import { type Places, World, scenarios } from '../scenarios/index.js';

/** Runs a step of a scenario. What a step returns goes to the next, after a reload. */
async function runStep(name: string, step: number, places: Places, id: string, before: unknown): Promise<unknown> {
  const { steps } = scenarios[name]!;
  const world = new World({ createClient, indexedDb, isMoorlineError, memory }, places, id);
  const facts = await steps[step]!(world, before);
  // A page that is reloaded closes nothing: that is the point.
  if (step === steps.length - 1) await world.close();
  return facts;
}

Object.assign(globalThis, { runStep });

// In a worker, the page asks by messages.
if (typeof document === 'undefined') {
  addEventListener('message', ({ data }: MessageEvent<Parameters<typeof runStep>>) => {
    runStep(...data).then(
      (facts) => postMessage({ facts: JSON.parse(JSON.stringify(facts ?? null)) as unknown }),
      (error: unknown) => postMessage({ error: String(error) }),
    );
  });
}
