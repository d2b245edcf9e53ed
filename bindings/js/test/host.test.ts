import './kit/dom.js';
import { afterEach, expect, test, vi } from 'vitest';
import { browserHost } from '../src/host/browser.js';
import type { HostSignal } from '../src/host/host.js';

Object.assign(globalThis, { addEventListener: vi.fn(), removeEventListener: vi.fn() });
const visibility = vi.spyOn(document, 'visibilityState', 'get');
afterEach(() => visibility.mockReset());

function heard(): HostSignal[] {
  const signals: HostSignal[] = [];
  browserHost().signals!((signal) => signals.push(signal))();
  return signals;
}

test('a page that starts hidden is in the background from the beginning', () => {
  visibility.mockReturnValue('hidden');
  expect(heard()).toEqual(['background']);
});

test('a page that starts in front has nothing to tell', () => {
  visibility.mockReturnValue('visible');
  expect(heard()).toEqual([]);
});
