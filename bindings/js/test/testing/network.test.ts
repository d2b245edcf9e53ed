// What an app's own suite looks like: the app meets the real server, and the network does what it does in the field.
import { describe, expect, it } from 'vitest';

import { open, start, texts } from './helpers.js';

describe('a network that fails', () => {
  it('shows the banner while offline, and takes it away', async () => {
    const server = await start();
    const { client, host } = open(server, 'alice');
    const banner = (): boolean => client.state !== 'online';
    await server.settle();
    expect(banner()).toBe(false);
    host.offline();
    await server.settle();
    expect(banner()).toBe(true);
    await server.advance(600_000);
    expect(banner()).toBe(true);
    host.heal();
    await server.until(() => !banner());
    expect(client.state).toBe('online');
  });

  it('stores a message that was sent while offline once, and shows it once', async () => {
    const server = await start();
    const [alice, bob] = [open(server, 'alice'), open(server, 'bob')];
    await server.settle();
    server.offline(alice.client);
    await server.settle();
    const receipt = alice.room.publish('in the tunnel');
    await server.advance(60_000);
    expect([receipt.state, alice.client.outbox.messages, texts(server)]).toEqual(['queued', 1, []]);
    server.heal(alice.client);
    await server.until(() => receipt.state === 'stored');
    await server.settle();
    expect([texts(server), bob.shown, alice.shown]).toEqual([['in the tunnel'], ['in the tunnel'], ['in the tunnel']]);
  });

  it('does not store twice what was stored when the connection broke before the receipt', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    server.delay(100);
    const receipt = alice.room.publish('once');
    await server.advance(150);
    expect([texts(server), receipt.state]).toEqual([['once'], 'sent']);
    server.cut(alice.client);
    await server.until(() => receipt.state === 'stored');
    expect(texts(server)).toEqual(['once']);
    expect((await receipt.stored).duplicate).toBe(true);
  });

  it('comes back by itself after a cut, and misses nothing', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    server.publish('room', 'before');
    await server.settle();
    server.cut('alice');
    await server.settle();
    expect(alice.client.state).toBe('recovering');
    server.publish('room', 'meanwhile');
    await server.until(() => alice.client.state === 'online');
    await server.settle();
    expect([alice.shown, alice.resets]).toEqual([['before', 'meanwhile'], []]);
  });

  it('notices a black hole by silence, and not before', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    server.blackhole();
    server.publish('room', 'unheard');
    await server.advance(20_000);
    expect([alice.client.state, alice.shown]).toEqual(['online', []]);
    await server.until(() => alice.client.state === 'recovering');
    server.heal();
    await server.until(() => alice.shown.length > 0);
    expect([alice.client.state, alice.shown]).toEqual(['online', ['unheard']]);
  });

  it('lets through what waited in a black hole that was short', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    server.blackhole('alice');
    server.publish('room', 'late');
    await server.advance(3_000);
    expect(alice.shown).toEqual([]);
    server.heal(alice.host);
    await server.settle();
    expect([alice.shown, alice.states]).toEqual([['late'], ['connecting', 'online']]);
  });

  it('takes as long as the network does', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    server.delay(200, alice.client);
    const receipt = alice.room.publish('slow');
    await server.advance(399);
    expect(receipt.state).toBe('sent');
    await server.advance(1);
    expect(receipt.state).toBe('stored');
  });

  it('delivers at once what came while the app was frozen', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    server.freeze(alice.client, 10_000);
    for (const text of ['one', 'two', 'three']) server.publish('room', text);
    await server.advance(9_999);
    expect(alice.shown).toEqual([]);
    await server.advance(1);
    expect(alice.shown).toEqual(['one', 'two', 'three']);
  });

  it('comes back after a long freeze, and misses nothing', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    alice.host.freeze(3_600_000);
    server.publish('room', 'in the night');
    await server.advance(3_600_000);
    expect(server.connections()).toHaveLength(0);
    expect([alice.client.state, alice.shown]).toEqual(['recovering', ['in the night']]);
    server.publish('room', 'in the morning');
    await server.until(() => alice.client.state === 'online');
    await server.settle();
    expect(alice.shown).toEqual(['in the night', 'in the morning']);
  });

  it('holds back a reader that takes nothing, and no other', async () => {
    const server = await start({ rules: [{ prefix: 'room', compression: false }] });
    const [alice, bob] = [open(server, 'alice'), open(server, 'bob')];
    await server.settle();
    server.blackhole(alice.host);
    const text = 'x'.repeat(60_000);
    for (let i = 0; i < 40; i++) {
      server.publish('room', `${i} ${text}`);
      await server.settle();
    }
    expect([alice.shown.length, bob.shown.length]).toEqual([0, 40]);
    const waiting = server.connections().map(({ user, queued }) => [user, queued > 500_000, queued < 1_000_000]);
    expect(waiting).toEqual([['alice', true, true], ['bob', false, true]]);
    server.heal(alice.host);
    await server.until(() => alice.shown.length === 40);
    expect(alice.shown).toEqual(bob.shown);
  });

  it('pauses a slow consumer and loses nothing', async () => {
    const server = await start();
    const alice = open(server, 'alice', { queue: { messages: 16 } });
    await server.settle();
    const messages = alice.client.channel('room').messages();
    const taken: unknown[] = [];
    let next = messages.next();
    for (let i = 0; i < 300; i++) server.publish('room', i);
    await server.settle();
    for (let i = 0; i < 300; i++) {
      await server.settle();
      taken.push((await next).value?.data);
      next = messages.next();
    }
    expect(taken).toEqual(Array.from({ length: 300 }, (_, i) => i));
  });
});

describe('a server that fails', () => {
  it('keeps what was stored over a restart', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    await alice.room.publish('kept').stored;
    server.restart();
    await server.until(() => alice.client.state === 'online');
    await server.advance(5_000);
    server.publish('room', 'after');
    await server.settle();
    expect([alice.shown, alice.resets, texts(server)]).toEqual([['kept', 'after'], [], ['kept', 'after']]);
  });

  it('tells of a reset when the server has lost its memory', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    await alice.room.publish('lost').stored;
    await server.settle();
    server.restart({ keep: false });
    await server.until(() => alice.resets.length > 0);
    server.publish('room', 'new');
    await server.settle();
    expect([alice.resets, texts(server), alice.shown]).toEqual([['epoch'], ['new'], ['lost', 'new']]);
  });

  it('waits for a server that is gone, and sends then', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    server.kill();
    await server.settle();
    expect([alice.client.state, server.isRunning]).toEqual(['recovering', false]);
    const receipt = alice.room.publish('patience');
    expect(() => server.publish('room', 'nobody')).toThrow('the server is down');
    await server.advance(120_000);
    expect(receipt.state).toBe('queued');
    server.restart();
    await server.until(() => receipt.state === 'stored');
    expect(texts(server)).toEqual(['patience']);
  });

  it('comes back after a drain, within the window that the server names', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    server.drain({ after: 2_000, window: 1_000 });
    await server.settle();
    expect([alice.client.state, server.isRunning]).toEqual(['recovering', false]);
    server.restart();
    await server.advance(1_999);
    expect(alice.client.state).toBe('recovering');
    await server.advance(1_001);
    expect(alice.client.state).toBe('online');
  });

  it('does not come back after a final refusal', async () => {
    const server = await start();
    const alice = open(server, 'alice');
    await server.settle();
    server.close(alice.client, 4504);
    await server.advance(60_000);
    expect([alice.client.state, server.connections()]).toEqual(['closed', []]);
  });

  it('tries again while connections are refused for now', async () => {
    const server = await start();
    server.refuse(4002);
    const alice = open(server, 'alice');
    await server.advance(120_000);
    expect(alice.client.state).not.toBe('online');
    server.heal();
    await server.until(() => alice.client.state === 'online');
    server.refuse();
    server.cut();
    await server.advance(60_000);
    expect(alice.client.state).toBe('recovering');
  });
});
