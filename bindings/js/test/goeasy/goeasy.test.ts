import { describe, expect, test } from 'vitest';
import { makeGoEasy } from '../../src/goeasy/facade.js';
import type { GoEasyError, GoEasyMessage, GoEasyOptions, PresenceEvent } from '../../src/goeasy/types.js';
import { nodeHost } from '../../src/host/node.js';
import { createClient } from '../../src/index.js';
import { fresh } from '../kit/kit.js';
import { FaultProxy } from '../kit/proxy.js';
import { Inbox, ended, lasting, people, said, subscribed } from './people.js';

const on = people();
const { goEasy, connected } = on;

describe('messages', () => {
  test('go from one to the other, and to the one who said them, in the three keys', async () => {
    const channel = fresh();
    const [alice, bob] = [await connected('alice'), await connected('bob')];
    const inbox = await subscribed(bob, channel);
    const own = await subscribed(alice, channel);
    expect(await said(alice, channel, 'hi')).toEqual({ code: 200, content: 'ok' });
    const [message] = await inbox.until(1);
    expect(message).toEqual({ time: message!.time, channel, content: 'hi' });
    expect(Math.abs(message!.time - Date.now())).toBeLessThan(60_000);
    expect((await own.until(1))[0]!.content).toBe('hi');
  });

  test('of several channels come to one handler; a later subscribe takes the place of an earlier one', async () => {
    const channels = [fresh(), fresh()];
    const alice = await connected('alice');
    const [first, second] = [new Inbox<GoEasyMessage>(), new Inbox<GoEasyMessage>()];
    await ended((callbacks) => alice.pubsub.subscribe({ channels, onMessage: first.take, ...callbacks }));
    await ended((callbacks) => alice.pubsub.subscribe({ channel: channels[1]!, onMessage: second.take, ...callbacks }));
    for (const channel of channels) await said(alice, channel, channel);
    expect((await first.until(1)).map(({ content }) => content)).toEqual([channels[0]]);
    expect((await second.until(1)).map(({ content }) => content)).toEqual([channels[1]]);
    expect(first.all).toHaveLength(1);
  });

  test('stop after unsubscribe, which fails for what is not subscribed', async () => {
    const [channel, other] = [fresh(), fresh()];
    const alice = await connected('alice');
    const inbox = await subscribed(alice, channel);
    const rest = await subscribed(alice, other);
    expect(await ended((callbacks) => alice.pubsub.unsubscribe({ channel, ...callbacks }))).toEqual({ code: 200, content: 'ok' });
    await said(alice, channel, 'unheard');
    await said(alice, other, 'heard');
    await rest.until(1);
    expect(inbox.all).toEqual([]);
    await expect(ended((callbacks) => alice.pubsub.unsubscribe({ channel, ...callbacks }))).rejects.toMatchObject({
      code: 400,
      content: `channel[${channel}] is not subscribed`,
    });
  });

  test('published before the connection stands are sent', async () => {
    const channel = fresh();
    const bob = await connected('bob');
    const inbox = await subscribed(bob, channel);
    const alice = goEasy();
    alice.connect({ id: 'alice' });
    alice.pubsub.publish({ channel, message: 'early' });
    expect((await inbox.until(1))[0]!.content).toBe('early');
  });

  test('at qos 1 wait for who is away; others do not', async () => {
    const channel = fresh();
    const kept = new Map<string, Uint8Array>();
    const alice = await connected('alice');
    const away = await connected('zoe', { client: { store: lasting(kept) } });
    await subscribed(away, channel);
    await ended((callbacks) => away.disconnect(callbacks));
    await said(alice, channel, 'gone');
    await said(alice, channel, 'waits', { qos: 1, notification: { title: 'New', body: 'waits' } });
    const back = await connected('zoe', { client: { store: lasting(kept) } });
    const inbox = await subscribed(back, channel);
    await said(alice, channel, 'live');
    expect((await inbox.until(2)).map(({ content }) => content)).toEqual(['waits', 'live']);
  });

  test('survive a cut, and connecting again is told', async () => {
    const proxy = await FaultProxy.start(Number(new URL(on.server.url).port));
    const host = on.server.url.replace(/:\d+/, `:${proxy.port}`);
    const channel = fresh();
    const alice = await connected('alice');
    const ups = new Inbox<string>();
    const attempts: number[] = [];
    const bob = goEasy({ host, client: { backoff: { min: 10, max: 20 } } });
    bob.connect({ id: 'bob', onSuccess: () => ups.take(bob.getConnectionStatus()), onProgress: (attempt) => attempts.push(attempt) });
    expect(attempts).toEqual([0]);
    expect(bob.getConnectionStatus()).toBe('connecting');
    await ups.until(1);
    const inbox = await subscribed(bob, channel);
    proxy.cut();
    await said(alice, channel, 'meanwhile');
    expect(await ups.until(2)).toEqual(['connected', 'reconnected']);
    expect((await inbox.until(1))[0]!.content).toBe('meanwhile');
    expect(attempts.slice(0, 2)).toEqual([0, 1]);
    bob.disconnect();
    await proxy.close();
  });
});

describe('the past', () => {
  test('comes in ascending order, newest last, within limit, start and end', async () => {
    const channel = fresh();
    const alice = await connected('alice');
    for (const content of ['1', '2', '3', '4']) await said(alice, channel, content);
    type History = { code: number; content: { messages: { time: number; content: string }[] } };
    const past = (rest: object): Promise<History> => ended((callbacks) => alice.pubsub.history({ channel, ...rest, ...callbacks }));
    const all = await past({});
    expect(all.code).toBe(200);
    expect(all.content.messages.map(({ content }) => content)).toEqual(['1', '2', '3', '4']);
    expect(Object.keys(all.content.messages[0]!).sort()).toEqual(['content', 'time']);
    expect((await past({ limit: 2 })).content.messages.map(({ content }) => content)).toEqual(['3', '4']);
    const { time } = all.content.messages[0]!;
    expect((await past({ end: time - 1 })).content.messages).toEqual([]);
    expect((await past({ start: Date.now() + 60_000 })).content.messages).toEqual([]);
    expect((await past({ start: null, end: null })).content.messages).toEqual(all.content.messages);
    await expect(past({ limit: 31 })).rejects.toMatchObject({ code: 400 });
  });
});

describe('presence', () => {
  test('tells who joins and leaves, in both shapes, and who is there', async () => {
    const channel = fresh();
    const [alice, bob] = [await connected('alice'), await connected('bob')];
    const events = new Inbox<PresenceEvent>();
    await ended((callbacks) => alice.pubsub.subscribePresence({ channel, onPresence: events.take, ...callbacks }));
    await subscribed(bob, channel, { presence: { enable: true } });
    const [joined] = await events.until(1);
    expect(joined).toEqual({
      channel, action: 'join', member: { id: 'bob', data: { name: 'bob' } }, time: joined!.time, amount: 1,
      members: [{ id: 'bob', data: { name: 'bob' } }], clientAmount: 1, userAmount: 1,
      events: [{ time: joined!.time, action: 'join', id: 'bob', data: { name: 'bob' } }],
    });
    expect(await ended((callbacks) => alice.pubsub.hereNow({ channel, ...callbacks }))).toEqual({
      code: 200, content: { channel, amount: 1, members: [{ id: 'bob', data: { name: 'bob' } }] },
    });
    expect(await ended((callbacks) => alice.pubsub.hereNow({ channels: [channel], includeUsers: true, ...callbacks }))).toEqual({
      code: 200, content: { channels: { [channel]: { channel, clientAmount: 1, userAmount: 1, users: [{ id: 'bob', data: { name: 'bob' } }] } } },
    });
    expect(await ended((callbacks) => alice.pubsub.hereNowByUserIds({ userIds: ['bob', 'nobody'], ...callbacks }))).toEqual({
      code: 200, content: [{ id: 'bob', data: {} }],
    });
    bob.pubsub.unsubscribe({ channel });
    expect((await events.until(2))[1]).toMatchObject({ action: 'leave', amount: 0, members: [], member: { id: 'bob' } });
    await ended((callbacks) => alice.pubsub.unsubscribePresence({ channel, ...callbacks }));
  });

  test('needs an id', async () => {
    const anonymous = goEasy();
    anonymous.connect({});
    await expect(subscribed(anonymous, fresh(), { presence: { enable: true } })).rejects.toMatchObject({ code: 400 });
  });
});

describe('connecting', () => {
  test('is a matter of one call, also of one that was taken off its object', async () => {
    const { connect, getConnectionStatus, disconnect } = goEasy();
    expect(getConnectionStatus()).toBe('disconnected');
    await ended((callbacks) => connect({ id: 'alice', ...callbacks }));
    expect(getConnectionStatus()).toBe('connected');
    await expect(ended((callbacks) => connect({ id: 'alice', ...callbacks }))).rejects.toMatchObject({
      code: 408, content: expect.stringContaining('already connected') as string,
    });
    const gone = ended((callbacks) => disconnect(callbacks));
    expect(getConnectionStatus()).toBe('disconnected');
    await gone;
    await expect(ended((callbacks) => disconnect(callbacks))).rejects.toMatchObject({ code: 408 });
    disconnect();
    await ended((callbacks) => connect({ id: 'alice', ...callbacks }));
  });

  test('with a token that is refused fails for good, and may be tried again', async () => {
    let token = 'forged';
    const one = goEasy({ token: () => token });
    const refused = ended((callbacks) => one.connect({ id: 'alice', ...callbacks }));
    const waiting = [subscribed(one, fresh()), said(one, fresh(), 'hi')].map((call) => expect(call).rejects.toMatchObject({ code: expect.any(Number) as number }));
    await expect(refused).rejects.toMatchObject({ code: 401 });
    await Promise.all(waiting);
    expect(one.getConnectionStatus()).toBe('connect_failed');
    token = 'dev:alice';
    await ended((callbacks) => one.connect({ id: 'alice', ...callbacks }));
  });

  test('with a token that is refused at a reconnect fails for good', async () => {
    let token = 'dev:erin';
    const one = goEasy({ token: () => token });
    let isUp: () => void;
    const up = new Promise<void>((resolve) => (isUp = resolve));
    const refused = new Promise<GoEasyError>((onFailed) => one.connect({ id: 'erin', onSuccess: () => isUp(), onFailed }));
    await up;
    const channel = fresh();
    await subscribed(one, channel);
    await ended((callbacks) => one.pubsub.subscribePresence({ channel, onPresence: () => undefined, ...callbacks }));
    token = 'forged';
    const { host } = new URL(on.server.url);
    const answer = await fetch(`http://${host}/v1/apps/default/users/erin/connections`, { method: 'DELETE', headers: { authorization: 'Bearer dev' } });
    expect(answer.ok).toBe(true);
    expect(await refused).toMatchObject({ code: 401 });
    expect(one.getConnectionStatus()).toBe('connect_failed');
    expect(() => one.pubsub.publish({ channel, message: 'x' })).toThrow('Please call connect() first.');
  });

  test('takes the token from otp', async () => {
    const channel = fresh();
    const one = goEasy();
    await ended((callbacks) => one.connect({ id: 'carol', otp: 'dev:carol', ...callbacks }));
    await subscribed(one, channel, { presence: { enable: true } });
    expect(await ended((callbacks) => one.pubsub.hereNow({ channel, ...callbacks }))).toMatchObject({ content: { members: [{ id: 'carol' }] } });
  });

  test('comes before everything else', () => {
    const one = goEasy();
    const errors: GoEasyError[] = [];
    one.pubsub.publish({ channel: 'a', message: 'x', onFailed: (error) => errors.push(error) });
    expect(errors.map(({ message }) => message)).toEqual(['Please call connect() first.']);
    expect(() => one.pubsub.publish({ channel: 'a', message: 'x' })).toThrow('Please call connect() first.');
  });
});

describe('bad calls', () => {
  test.each([
    [{ host: '' }, 'host'],
    [{ host: 'hangzhou.goeasy.io' }, 'Moorline server'],
    [{ appkey: '' }, 'appkey'],
    [{ modules: [] }, 'modules'],
    [{ modules: ['chat'] }, 'chat'],
  ])('of getInstance throw: %j', (options, text) => {
    const call = (): unknown => goEasy(options as Partial<GoEasyOptions>);
    expect(call).toThrow(text);
    try {
      call();
    } catch (error) {
      expect(error).toMatchObject({ code: 400 });
    }
  });

  test.each([
    ['a message that is no text', { channel: 'a', message: 5 }, 'message must be a string'],
    ['no message', { channel: 'a', message: '' }, 'empty'],
    ['no channel', { channel: '', message: 'x' }, 'channel'],
    ['a channel of 43 signs that have 3 bytes each', { channel: '频'.repeat(43), message: 'x' }, '128 bytes'],
    ['a channel for many', { channel: 'room:*', message: 'x' }, '*'],
    ['a bad qos', { channel: 'a', message: 'x', qos: 2 }, 'qos has invalid value.'],
    ['65 KiB', { channel: 'a', message: 'x'.repeat(65 * 1024 + 1) }, 'limit.message'],
    ['an access token', { channel: 'a', message: 'x', accessToken: 'y' }, 'accessToken'],
    ['a template message', { channel: 'a', message: 'x', wxmpTemplateMsg: {} }, 'webhook'],
    ['a long notification', { channel: 'a', message: 'x', notification: { title: 'x'.repeat(900), body: '' } }, '900'],
  ])('of publish fail: %s', async (_name, options, text) => {
    const alice = await connected('alice');
    const failed = ended((callbacks) => alice.pubsub.publish({ ...options, ...callbacks } as never));
    await expect(failed).rejects.toMatchObject({ code: 400, content: expect.stringContaining(text) as string });
  });

  test('of connect fail', async () => {
    for (const options of [{ id: 7 }, { id: '' }, { data: 'x' }, { data: { x: 'y'.repeat(300) } }, { wxmpId: {} }]) {
      await expect(ended((callbacks) => goEasy().connect({ ...options, ...callbacks } as never))).rejects.toMatchObject({ code: 400 });
    }
  });

  test('of modules that are not there say what to use', async () => {
    const one = goEasy({ modules: ['PUBSUB', 'IM'] });
    await expect(ended((callbacks) => one.im['sendMessage']!(callbacks as never))).rejects.toMatchObject({ code: 400, content: expect.stringContaining('@<user>') as string });
    expect(() => one.im['on']!('x' as never)).toThrow('im.on');
    expect(() => goEasy({ modules: ['im'] }).pubsub.publish({ channel: 'a', message: 'x' })).toThrow('PubSub not initialized');
  });
});

test('the class is its own instance, and its own default', () => {
  const one = makeGoEasy({ createClient, host: nodeHost });
  expect(one.getInstance({ host: 'chat.example.com', appkey: 'default', modules: ['pubsub'] })).toBe(one);
  expect(one.default).toBe(one);
  expect(typeof one).toBe('function');
});
