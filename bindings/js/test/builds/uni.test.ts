import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Server } from '../kit/server.js';
import { alipay, wechat } from '../platforms/sim/vendors.js';
import { chats } from './chats.js';
import { Program, sizeOf } from './program.js';

const dist = fileURLToPath(new URL('../../../../examples/chat-uni/dist/build/', import.meta.url));

/** What a template of uni-app binds: `id="x" … bindtap="{{m}}"` says that the handler's name is in `data.m`. */
function bound(template: string, id: string, attribute: string): string {
  const tag = new RegExp(`<[^>]*\\bid="${id}"[^>]*>`).exec(template)?.[0] ?? '';
  const found = new RegExp(`${attribute}="\\{\\{(\\w+)\\}\\}"`).exec(tag)?.[1];
  if (found === undefined) throw new Error(`the template binds no ${attribute} at ${id}: ${template}`);
  return found;
}

/** The key of the list's items and the one of the banner's text. */
function shown(template: string): { banner: string; list: string } {
  return { banner: /id="banner">\{\{(\w+)\}\}/.exec(template)![1]!, list: /(?:wx|a):for="\{\{(\w+)\}\}"/.exec(template)![1]! };
}

describe.each([
  ['mp-weixin', '.wxml', { input: 'bindinput', tap: 'bindtap' }, (machine: never) => ({ ...wechat(machine, undefined), global: {} })],
  ['mp-alipay', '.axml', { input: 'onInput', tap: 'onTap' }, alipay],
] as const)('the chat for uni-app, built for %s', (platform, suffix, events, namespace) => {
  let server: Server;
  beforeAll(async () => void (server = await Server.start()));
  afterAll(() => server.remove());

  test('is small enough, runs, and talks to the real server', async () => {
    const folder = join(dist, platform);
    expect(sizeOf(folder)).toBeLessThan(2 << 20);
    const template = readFileSync(join(folder, `pages/chat/chat${suffix}`), 'utf8');
    const { banner, list } = shown(template);
    const open = (): Program => new Program(folder, 'pages/chat/chat', namespace as never, server.url);
    await chats(open, {
      isReady: () => true,
      type: (program, id, text) => program.call(program.page.data[bound(template, id, events.input)] as string, { type: 'input', detail: { value: text }, target: {}, currentTarget: { dataset: {} } }),
      tap: (program, id) => program.call(program.page.data[bound(template, id, events.tap)] as string, { type: 'tap', detail: {}, target: {}, currentTarget: { dataset: {} } }),
      banner: (program) => program.page.data[banner] as string | undefined,
      items: (program) => ((program.page.data[list] as { a: string; b: string; d?: string }[] | undefined) ?? []).map(({ a, b, d }) => ({ who: a, text: b, receipt: d })),
    });
  });
});
