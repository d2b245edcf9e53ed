import { expect, test } from 'vitest';
import { readFileSync } from 'node:fs';
import { createElement as h } from 'react';
import { renderToString } from 'react-dom/server';
import { createClient, memory } from '../src/index.js';
import { MoorlineProvider, useChannel, useConnection, useMessages, usePresence } from '../src/react.js';

test('React renders in bare Node: nothing connects, no global is made, no handle is kept', () => {
  const before = Object.getOwnPropertyNames(globalThis);
  const client = createClient({ url: 'ws://127.0.0.1:1/ws', store: memory() });
  function Room() {
    const channel = useChannel('room:1', { presence: 'join' });
    const { messages, isLoading } = useMessages(channel);
    return h('p', null, useConnection().state, ' ', messages.length, ' ', `${isLoading}`, ' ', `${usePresence(channel).count}`);
  }
  const page = renderToString(h(MoorlineProvider, { client }, h(Room)));
  expect(page.replace(/<!-- -->/g, '')).toBe('<p>idle 0 true undefined</p>');
  expect(client.state).toBe('idle');
  expect(Object.getOwnPropertyNames(globalThis)).toEqual(before);
  expect(typeof window).toBe('undefined');
});

test('the module of React is marked for the client', () => {
  const source = readFileSync(new URL('../src/react.ts', import.meta.url), 'utf8');
  expect(source).toMatch(/^'use client';/);
});
