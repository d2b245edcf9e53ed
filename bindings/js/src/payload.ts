import { encodeUtf8 } from './core/utf8.js';
import { malformed, messageOf } from './errors.js';

/** What a message carries, as it crosses: 0 JSON, 1 a text, 2 bytes. */
export interface Payload {
  readonly kind: 0 | 1 | 2;
  readonly bytes: Uint8Array;
}

/** Anything that can be published: a text and bytes as such, everything else as JSON. */
export function payloadOf(value: unknown, what = 'the message'): Payload {
  if (typeof value === 'string') return { kind: 1, bytes: encodeUtf8(value) };
  if (!(value instanceof ArrayBuffer) && !ArrayBuffer.isView(value)) return { kind: 0, bytes: jsonOf(value, what) };
  try {
    const view = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    // A copy: it may have to wait, and the app goes on with its own.
    return { kind: 2, bytes: new Uint8Array(view) };
  } catch (cause) {
    throw malformed(`${what} has no bytes any more: ${messageOf(cause)}`, cause);
  }
}

/** A value as JSON, in UTF-8. */
export function jsonOf(value: unknown, what: string): Uint8Array {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw malformed(`${what} cannot be made JSON: ${messageOf(cause)}`, cause);
  }
  if (text === undefined || saysNothing(value, text)) {
    const as = text ? `, as JSON ${text}` : '';
    throw malformed(`${what} is ${describe(value)}${as}: pass a value that JSON can say (null included)`);
  }
  return encodeUtf8(text);
}

/** Whether what JSON makes of a value is not what was meant: of a number that is none, a Map, a Promise, an Error. */
function saysNothing(value: unknown, text: string): boolean {
  if (text === 'null') return typeof value === 'number' || value instanceof Date;
  if (text !== '{}' || typeof (value as { toJSON?: unknown }).toJSON === 'function') return false;
  return Object.prototype.toString.call(value) !== '[object Object]';
}

export function describe(value: unknown): string {
  return value === undefined || value === null ? String(value) : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
