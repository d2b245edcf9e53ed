// What runs inside a virtual machine: the package as an app imports it, a simulated platform, and the scenarios. The bundler puts the
// names of a platform in place: which entry `moorline-entry` is, and `platform`.
import * as entry from 'moorline-entry';
import { platform } from 'moorline-platform';
import { World, scenarios } from '../../scenarios/index.js';
import { Machine } from '../sim/machine.js';
import { Kernel, type Step } from './kernel.js';

declare const __global: Record<string, unknown>;
declare const __post: (line: string) => void;
declare const __instantiate: ((bytes: Uint8Array) => Promise<object>) | undefined;

const kernel = new Kernel((line) => __post(line), (step) => void take(step));
const machine = new Machine(kernel);
machine.hasManySockets = true;
const install = (globals: Record<string, unknown>): void => Object.keys(globals).forEach((name) => (__global[name] = globals[name]));

// What the scenarios need, and no app has.
install({
  fetch: async (url: string, options?: { method?: string }) => {
    const text = await kernel.fetch(url, options?.method ?? 'GET');
    return { text: () => Promise.resolve(text) };
  },
  URLSearchParams: class {
    constructor(private readonly entries: Record<string, string>) {}
    toString(): string {
      return Object.keys(this.entries).map((name) => `${name}=${encodeURIComponent(this.entries[name]!)}`).join('&');
    }
  },
});
// What all platforms have.
install({
  setTimeout: (fire: () => void, ms: number) => machine.setTimeout(fire, ms),
  clearTimeout: (id: number) => machine.clearTimeout(id),
});
Date.now = () => machine.now();
const { globals, options, makeHost } = platform(machine, typeof __instantiate === 'undefined' ? undefined : __instantiate);
install(globals);

const moorline = {
  ...entry,
  createClient: (settings: object) => (entry.createClient as (all: object) => ReturnType<typeof entry.createClient>)({ ...options, ...settings }),
  indexedDb: ({ name = 'moorline' }: { name?: string } = {}) => makeHost().store!(name),
};

async function take({ name, step, places, id, before }: Step): Promise<void> {
  const world = new World(moorline, places, id);
  try {
    const facts = await scenarios[name]!.steps[step]!(world, before);
    await world.close();
    kernel.request({ t: 'facts', facts: facts ?? null });
  } catch (error) {
    kernel.request({ t: 'failed', why: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) });
  }
}

install({
  __receive: (line: string) => kernel.receive(line),
  __machine: machine,
  __moorline: moorline,
});
