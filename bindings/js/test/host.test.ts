import './kit/dom.js';
import { afterEach, expect, test, vi } from 'vitest';
import { browserHost } from '../src/host/browser.js';
import type { HostSignal } from '../src/host/host.js';

const page = new EventTarget();
for (const name of ['addEventListener', 'removeEventListener'] as const) Object.assign(globalThis, { [name]: page[name].bind(page) });
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

test('a page that goes is in the background, and wakes when it comes back', () => {
  visibility.mockReturnValue('visible');
  const signals: HostSignal[] = [];
  const stop = browserHost().signals!((signal) => signals.push(signal));
  const told = (of: EventTarget, name: string, more: object = {}): HostSignal[] => {
    signals.length = 0;
    const Kind = of === document ? document.defaultView!.Event : Event;
    of.dispatchEvent(Object.assign(new Kind(name), more));
    return [...signals];
  };
  expect(told(page, 'pagehide')).toEqual(['background']);
  expect(told(page, 'pageshow', { persisted: true })).toEqual(['foreground', 'wake']);
  expect(told(page, 'pageshow', { persisted: false })).toEqual([]);
  expect(told(document, 'freeze')).toEqual(['background']);
  expect(told(document, 'resume')).toEqual(['wake']);
  stop();
  expect([...told(page, 'pagehide'), ...told(document, 'freeze')]).toEqual([]);
});

/** A socket of a browser, which does what the test says. */
class FakeSocket {
  static last: FakeSocket;
  binaryType = '';
  onopen = (): void => undefined;
  onclose = (_event: Partial<CloseEvent>): void => undefined;

  constructor() {
    FakeSocket.last = this;
  }
}

function closedAfter(does: (socket: FakeSocket) => void): unknown[][] {
  const told: unknown[][] = [];
  vi.stubGlobal('WebSocket', FakeSocket);
  browserHost().open('ws://moorline.test/ws', { opened: () => undefined, frame: () => undefined, closed: (...why) => void told.push(why) });
  does(FakeSocket.last);
  vi.unstubAllGlobals();
  return told;
}

test('a socket that did not open says all that the browser does', () => {
  const close = { type: 'close', code: 1006, reason: '', wasClean: false };
  expect(closedAfter((socket) => socket.onclose(close))).toEqual([[undefined, 'the WebSocket did not open: close 1006 "", wasClean false, onLine true']]);
  vi.spyOn(navigator, 'onLine', 'get').mockReturnValueOnce(false);
  const offline = 'the WebSocket did not open: close 1006 "refused", wasClean true, onLine false';
  expect(closedAfter((socket) => socket.onclose({ ...close, reason: 'refused', wasClean: true }))).toEqual([[undefined, offline]]);
});

test('a socket that was open tells the code of its peer, or nothing', () => {
  const closes = [{ type: 'close', code: 1006 }, { type: 'close', code: 1005 }, { type: 'close', code: 4000 }];
  const told = closes.map((close) => closedAfter((socket) => (socket.onopen(), socket.onclose(close))));
  expect(told).toEqual([[[undefined, undefined]], [[undefined, undefined]], [[4000]]]);
});
