import type { Host, HostSignal, Socket, StoreBatch } from '../host/host.js';

/** What a test runner offers; vitest, jest and mocha all do. */
export interface Runner {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: () => Promise<void>): unknown;
}

/** What the suite needs beside the host. */
export interface HostSuiteOptions extends Partial<Runner> {
  /** The URL of a Moorline server that the host can reach. Without it, only what needs no server is tested. */
  readonly url?: string;
  /** A URL where nothing answers (default `ws://127.0.0.1:9/ws`). */
  readonly deadUrl?: string;
  /** Leaves the app of a host that `make` made, as its user does. Without it, only that signals can be stopped is tested. */
  readonly hide?: (host: Host) => void;
  /** Makes a host whose app is in the background. Without it, that is not tested. */
  readonly makeHidden?: () => Host | Promise<Host>;
  /** Lets so many ms pass (default: real time). */
  readonly pass?: (ms: number) => Promise<void>;
}

/** How long anything may take, in ms. */
const patience = 5_000;

/**
 * The contract of a host, as a suite of tests: for whoever brings the client to another platform. `make` makes a new
 * host for each test.
 */
export function describeHost(name: string, make: () => Host | Promise<Host>, options: HostSuiteOptions = {}): void {
  const { describe, it } = runnerOf(options);
  const { url, deadUrl = 'ws://127.0.0.1:9/ws' } = options;
  const pass = options.pass ?? ((ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms)));
  const until = async (condition: () => boolean, what: string): Promise<void> => {
    for (let ms = 0; !condition(); ms += 5) {
      check(ms < patience, `${what}, but nothing came within ${patience} ms`);
      await pass(5);
    }
  };
  const test = (title: string, body: (host: Host) => Promise<void>): void => {
    it(title, async () => body(await make()));
  };

  describe(`host ${name}`, () => {
    test('has a name', async (host) => {
      check(typeof host.name === 'string' && host.name !== '', 'name is a text that is not empty');
    });

    test('has a clock that does not go back', async (host) => {
      const before = host.now();
      await pass(20);
      const after = host.now();
      check(Number.isFinite(before) && Number.isFinite(after), 'now() returns a number');
      check(after > before, `now() goes on: ${before}, then ${after} 20 ms later`);
    });

    test('fills with random bytes', async (host) => {
      const [one, other] = [new Uint8Array(32), new Uint8Array(32)];
      host.random(one);
      host.random(other);
      check(one.some((byte) => byte !== 0), 'random() fills what it is given');
      check(one.join() !== other.join(), 'random() gives other bytes each time');
    });

    test('fires timers once, in the order of their times', async (host) => {
      const fired: string[] = [];
      host.timer(30, () => fired.push('late'));
      host.timer(0, () => fired.push('soon'));
      check(fired.length === 0, 'a timer does not fire before timer() has returned');
      await until(() => fired.length === 2, 'both timers fire');
      await pass(40);
      check(fired.join() === 'soon,late', `each timer fires once, in order: ${fired.join()}`);
    });

    test('stops timers', async (host) => {
      let fired = 0;
      const stop = host.timer(10, () => fired++);
      stop();
      stop();
      await pass(30);
      check(fired === 0, 'a timer that was stopped does not fire');
    });

    test('takes long timers', async (host) => {
      let fired = 0;
      const stop = host.timer(2 ** 31 - 1, () => fired++);
      await pass(20);
      stop();
      check(fired === 0, 'a timer of 2^31 - 1 ms does not fire at once');
    });

    test('takes reports of errors', async (host) => {
      host.report(new Error('thrown by a handler of the host suite; not a fault'));
    });

    test('stops to tell signals when it is told so', async (host) => {
      const heard: HostSignal[] = [];
      const stop = host.signals?.((signal) => heard.push(signal));
      if (options.hide && stop) {
        options.hide(host);
        check(heard.includes('background'), `signals() tells that the app is left: ${heard.join()}`);
      }
      const before = heard.length;
      stop?.();
      stop?.();
      options.hide?.(host);
      check(heard.length === before, `nothing is told once that is stopped: ${heard.slice(before).join()}`);
    });

    const { makeHidden } = options;
    if (makeHidden) {
      it('tells at once that the app is in the background', async () => {
        const heard: HostSignal[] = [];
        (await makeHidden()).signals?.((signal) => heard.push(signal))();
        check(heard.join() === 'background', `signals() tells it before it returns: ${heard.join()}`);
      });
    }

    test('tells of a connection that fails, once, and not before open() has returned', async (host) => {
      const seen = watch(host, deadUrl);
      check(seen.log.length === 0, 'open() tells nothing before it has returned');
      await until(() => seen.log.length > 0, 'closed() comes');
      await pass(20);
      check(seen.log.join() === 'closed', `only closed() comes, once: ${seen.log.join()}`);
    });

    test('does not throw at a URL that is none', async (host) => {
      const seen = watch(host, 'this is no URL');
      await until(() => seen.log.length > 0, 'closed() comes');
      check(seen.log.join() === 'closed', `only closed() comes, once: ${seen.log.join()}`);
    });

    describeStore(test);
    if (url !== undefined) describeSocket(url, test, until, pass);
  });
}

type Test = (title: string, body: (host: Host) => Promise<void>) => void;

function describeSocket(
  url: string,
  test: Test,
  until: (condition: () => boolean, what: string) => Promise<void>,
  pass: (ms: number) => Promise<void>,
): void {
  test('opens, carries frames both ways, and tells the close code', async (host) => {
    const seen = watch(host, url);
    await until(() => seen.log.length > 0, 'opened() comes');
    check(seen.log.join() === 'opened', `opened() comes first: ${seen.log.join()}`);
    // No frame begins with these bytes: the server says so, and closes with 4500.
    seen.socket.send(new Uint8Array([0xff, 0xff, 0xff]));
    await until(() => seen.log.includes('closed'), 'the server answers, and closed() comes');
    await pass(20);
    check(seen.log.join() === 'opened,frame,closed', `a frame, then closed(), once: ${seen.log.join()}`);
    check(seen.frames.every((frame) => frame instanceof Uint8Array), 'a binary frame arrives as a Uint8Array');
    check(seen.code === 4500, `closed() tells the code of the server, 4500, not ${seen.code}`);
  });

  test('takes bytes that are changed after they were sent', async (host) => {
    const seen = watch(host, url);
    await until(() => seen.log.length > 0, 'opened() comes');
    const frame = new Uint8Array([0xff, 0xff, 0xff]);
    seen.socket.send(frame);
    // A frame of a later version, which a server ignores.
    frame.set([2, 0xff, 0]);
    await until(() => seen.log.includes('closed'), 'closed() comes');
    check(seen.code === 4500, 'what was sent is what the bytes were at that moment');
  });

  test('says how much waits to be sent, or that it does not know', async (host) => {
    const seen = watch(host, url);
    const { buffered } = seen.socket;
    check(buffered === undefined || buffered >= 0, 'buffered is a number that is not negative, or undefined');
    await until(() => seen.log.length > 0, 'opened() comes');
    seen.socket.close(1000, '');
    await until(() => seen.log.includes('closed'), 'closed() comes');
  });

  test('tells of its own close, once, and nothing after it', async (host) => {
    const seen = watch(host, url);
    await until(() => seen.log.length > 0, 'opened() comes');
    seen.socket.close(4000, 'enough');
    seen.socket.close(4000, 'enough');
    await until(() => seen.log.includes('closed'), 'closed() comes');
    try {
      seen.socket.send(new Uint8Array(1));
    } catch {
      // A closed socket may refuse.
    }
    await pass(20);
    check(seen.log.join() === 'opened,closed', `closed() comes once: ${seen.log.join()}`);
  });

  test('can be closed before it is open', async (host) => {
    const seen = watch(host, url);
    seen.socket.close(1000, '');
    await until(() => seen.log.includes('closed'), 'closed() comes');
    await pass(20);
    check(seen.log.join() === 'closed', `opened() does not come after close(): ${seen.log.join()}`);
  });

  test('has several sockets that do not meet', async (host) => {
    const [one, other] = [watch(host, url), watch(host, url)];
    await until(() => one.log.length > 0 && other.log.length > 0, 'opened() comes to both');
    one.socket.close(1000, '');
    await until(() => one.log.includes('closed'), 'closed() comes to one');
    check(other.log.join() === 'opened', `nothing comes to the other: ${other.log.join()}`);
    other.socket.close(1000, '');
    await until(() => other.log.includes('closed'), 'closed() comes to the other');
  });
}

function describeStore(test: Test): void {
  const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);
  const batch = (parts: Partial<StoreBatch>): StoreBatch => ({ clear: false, deletes: [], puts: [], ...parts });

  test('has a store that keeps what was committed', async (host) => {
    const store = host.store?.();
    if (!store) return;
    const content = async (): Promise<string> => {
      const entries = [...(await store.load())].map(([key, value]) => `${key}=${[...value].join('.')}`);
      return entries.sort().join(' ');
    };
    check((await content()) === '', 'a new host has an empty store; make() must see to that');
    const value = bytes(1, 2);
    await store.commit(batch({ puts: [['a', value], ['b', bytes()]] }));
    value.fill(0);
    check((await content()) === 'a=1.2 b=', `what was put is there: ${await content()}`);
    await store.commit(batch({ deletes: ['b', 'unknown'], puts: [['a', bytes(3)], ['c', bytes(255)]] }));
    check((await content()) === 'a=3 c=255', `a batch deletes and puts: ${await content()}`);
    await store.commit(batch({ deletes: ['d'], puts: [['d', bytes(4)]] }));
    check((await content()) === 'a=3 c=255 d=4', `deletes come before puts: ${await content()}`);
    await store.commit(batch({ clear: true, puts: [['e', bytes(5)]] }));
    check((await content()) === 'e=5', `a clear comes before puts: ${await content()}`);
    const both = [store.commit(batch({ puts: [['e', bytes(6)]] })), store.commit(batch({ puts: [['e', bytes(7)]] }))];
    await Promise.all(both);
    check((await content()) === 'e=7', `batches take effect in order: ${await content()}`);
    await store.commit(batch({ clear: true }));
    await store.close?.();
  });
}

/** Opens a socket and writes down what it tells. */
function watch(host: Host, url: string): { socket: Socket; log: string[]; frames: unknown[]; code?: number } {
  const seen: { socket?: Socket; log: string[]; frames: unknown[]; code?: number } = { log: [], frames: [] };
  seen.socket = host.open(url, {
    opened: () => void seen.log.push('opened'),
    frame: (frame) => {
      seen.log.push('frame');
      seen.frames.push(frame);
    },
    closed: (code) => {
      seen.log.push('closed');
      if (code !== undefined) seen.code = code;
    },
  });
  return seen as { socket: Socket; log: string[]; frames: unknown[]; code?: number };
}

function runnerOf(options: HostSuiteOptions): Runner {
  const { describe = (globalThis as Partial<Runner>).describe, it = (globalThis as Partial<Runner>).it } = options;
  if (!describe || !it) {
    throw new Error("describeHost: no test runner. Pass its functions, as in describeHost(name, make, { describe, it }) with import { describe, it } from 'vitest'");
  }
  return { describe, it };
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`the contract of hosts: ${what}`);
}
