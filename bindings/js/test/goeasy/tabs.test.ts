import { expect, test } from 'vitest';
import type { GoEasy } from '../../src/goeasy/facade.js';
import type { Host } from '../../src/host/host.js';
import { shareTabs } from '../../src/tabs/share.js';
import { fresh } from '../kit/kit.js';
import { type FakeTab, FakeBrowser } from '../tabs/fakes.js';
import { Inbox, ended, people, said, subscribed } from './people.js';

const on = people();

test.each([
  ['of an id', { id: 'alice' }],
  ['without one', { otp: 'dev:alice' }],
])('tabs %s share one connection', async (_, who) => {
  let opened = 0;
  const counted = (tab: FakeTab): Host => {
    const host = tab.host();
    return { ...host, open: (...args) => (opened++, host.open(...args)) };
  };
  const browser = new FakeBrowser();
  const tabs: GoEasy[] = [];
  for (const tab of [browser.tab(), browser.tab()]) {
    const one = on.goEasy({ client: { tabs: shareTabs() } }, () => counted(tab));
    await ended((callbacks) => one.connect({ ...who, ...callbacks }));
    tabs.push(one);
  }
  const channel = fresh();
  const inbox = await subscribed(tabs[0]!, channel);
  await said(tabs[1]!, channel, 'hello');
  expect((await inbox.until(1))[0]!.content).toBe('hello');
  expect(opened).toBe(1);
});

test('what a tab had not sent is told of once it is known whose it is', async () => {
  const tab = new FakeBrowser().tab();
  let [isUp, refusals] = [false, 0];
  const open: Host['open'] = (url, events) => {
    if (isUp) return tab.host().open(url, events);
    void Promise.resolve().then(() => events.closed());
    return { send: () => undefined, buffered: undefined, close: () => undefined };
  };
  const token = async (): Promise<string> => {
    if (refusals-- > 0) throw new Error('the backend is away');
    return 'dev:alice';
  };
  const one = on.goEasy({ token, client: { tabs: shareTabs() } }, () => ({ ...tab.host(), open }));
  const told = new Inbox<string>();
  const tried = new Promise<void>((resolve) => one.connect({ id: 'alice', onProgress: (attempts) => attempts > 0 && resolve() }));
  one.pubsub.publish({ channel: fresh(), message: 'pay 5', onSuccess: () => told.take('stored'), onFailed: ({ content }) => told.take(content) });
  await tried;
  one.disconnect();
  [isUp, refusals] = [true, 1];
  await ended((callbacks) => one.connect({ id: 'alice', ...callbacks }));
  expect(await told.until(1)).toEqual(['stored']);
});
