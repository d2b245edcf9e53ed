import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Server } from '../kit/server.js';
import { alipay, wechat } from '../platforms/sim/vendors.js';
import { type Item, chats } from './chats.js';
import { Program, sizeOf } from './program.js';

const dist = fileURLToPath(new URL('../../../../examples/chat-taro/dist/', import.meta.url));

/** An element as Taro's templates are given it: `cn` are its children, `v` is a text, `uid` the app's own id, `sid` Taro's. */
interface Element {
  readonly cn?: readonly Element[];
  readonly v?: string;
  readonly cl?: string;
  readonly uid?: string;
  readonly sid?: string;
}

function* all(element: Element): Generator<Element> {
  yield element;
  for (const child of element.cn ?? []) yield* all(child);
}

const root = (program: Program): Element => (program.page.data['root'] as Element | undefined) ?? {};
const textOf = (element: Element): string => [...all(element)].map(({ v }) => v ?? '').join('');
const byId = (program: Program, id: string): Element | undefined => [...all(root(program))].find(({ uid }) => uid === id);
const byClass = (element: Element, name: string): Element | undefined => [...all(element)].find(({ cl }) => cl?.split(' ').includes(name));

/** One handler takes every event of a page, and finds the element by its id. */
function happen(program: Program, id: string, type: string, detail: object): void {
  const sid = byId(program, id)!.sid;
  const target = { id, dataset: { sid } };
  program.call('eh', { type, detail, target, currentTarget: target, timeStamp: 0 });
}

describe.each([
  ['weapp', (machine: never) => ({ ...wechat(machine, undefined), global: {} })],
  ['alipay', (machine: never) => ({ ...alipay(machine), navigator: { swuserAgent: 'AlipayClient' } })],
] as const)('the chat for Taro, built for %s', (platform, namespace) => {
  let server: Server;
  beforeAll(async () => void (server = await Server.start()));
  afterAll(() => server.remove());

  test('is small enough, runs, and talks to the real server', async () => {
    const folder = join(dist, platform);
    expect(sizeOf(folder)).toBeLessThan(2 << 20);
    await chats(() => new Program(folder, 'pages/chat/index', namespace as never, server.url), {
      isReady: (program, id) => byId(program, id) !== undefined,
      type: (program, id, text) => happen(program, id, 'input', { value: text }),
      tap: (program, id) => happen(program, id, 'tap', {}),
      banner: (program) => {
        const banner = byId(program, 'banner');
        return banner && textOf(banner);
      },
      items: (program) =>
        [...all(root(program))].filter(({ cl }) => cl?.split(' ')[0] === 'item').map((item): Item => {
          const part = (name: string): string | undefined => {
            const found = byClass(item, name);
            return found && textOf(found);
          };
          return { who: part('who')!, text: part('text')!, receipt: part('receipt') };
        }),
    });
  });
});
