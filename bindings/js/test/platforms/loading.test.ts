import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { start } from '../../src/core/asm.gen.js';
import { checked } from '../../src/core/checked.js';
import type { Instantiated } from '../../src/core/wasm.js';
import { WechatHost } from '../../src/host/wechat.js';
import { loader } from '../../src/mini.js';
import { version } from '../../src/version.js';

const rejections: unknown[] = [];
const heard = (error: unknown): void => void rejections.push(error);
const others = process.listeners('unhandledRejection');

beforeEach(() => {
  vi.useFakeTimers();
  rejections.length = 0;
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', heard);
});
afterEach(() => {
  vi.useRealTimers();
  process.off('unhandledRejection', heard);
  for (const other of others) process.on('unhandledRejection', other);
});

const own = (): Instantiated => ({ exports: start() });
/** A module as another version has it. */
function stale(): Instantiated {
  const { exports } = own() as { exports: Record<string, unknown> };
  const { [`create-${version}`]: create, ...rest } = exports;
  return { instance: { exports: { ...rest, 'create-0.0.1': create } } };
}

describe('the file of a mini-program', () => {
  test.each([
    ['never answers', () => new Promise<Instantiated>(() => undefined), 0],
    ['fails', () => Promise.reject(new Error('no')), 0],
    ['throws', () => {
      throw new Error('no');
    }, 0],
    ['is that of another version', () => Promise.resolve(stale()), 1],
    ['is something else', () => Promise.resolve({ exports: {} }), 1],
  ] as const)('%s: the core in JavaScript steps in', async (_, instantiate, reported) => {
    const loading = loader(instantiate)({})();
    await vi.advanceTimersByTimeAsync(5_000);
    const core = await loading;
    expect(core.create(new Uint8Array(1), 0, 0, () => undefined).handle).toBe(0);
    expect(core.failure).toBeUndefined();
    vi.useRealTimers();
    await new Promise((resolve) => setImmediate(resolve));
    expect(rejections).toEqual(reported ? [expect.objectContaining({ code: 'client.runtime', message: expect.stringContaining(`not that of moorline ${version}`) as string })] : []);
  });

  test('is started once per path, for all clients', async () => {
    const paths: string[] = [];
    const load = loader((path) => (paths.push(path), Promise.resolve(own())));
    const one = await load({})();
    expect(await load({})()).toBe(one);
    expect(await load({ wasm: '/libs/core.wasm' })()).not.toBe(one);
    expect(await load({ wasm: false })()).toBe(await load({ wasm: false })());
    expect(paths).toEqual(['/moorline/core.wasm.br', '/libs/core.wasm']);
  });

  test('a core of another version is refused by name where an app brings it itself', () => {
    expect(checked(own())).toEqual(expect.anything());
    expect(() => checked(stale())).toThrow(expect.objectContaining({ code: 'client.runtime', message: expect.stringContaining('copy it anew') as string }) as Error);
  });
});

describe('random bytes of a platform', () => {
  test.each([
    ['throws, as in plug-ins', () => {
      throw new Error('not in plug-ins');
    }],
    ['never answers', () => undefined],
    ['rejects', () => Promise.reject(new Error('no'))],
    ['fails', ({ fail }: { fail: (why: object) => void }) => fail({})],
  ])('a platform that %s: the client starts without them', async (_, getRandomValues) => {
    const prepared = new WechatHost({ getRandomValues } as never).prepare();
    await vi.advanceTimersByTimeAsync(1_000);
    await prepared;
  });
});
