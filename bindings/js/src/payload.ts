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
  if (value instanceof Uint8Array) return { kind: 2, bytes: value };
  if (value instanceof ArrayBuffer) return { kind: 2, bytes: new Uint8Array(value) };
  if (ArrayBuffer.isView(value)) return { kind: 2, bytes: new Uint8Array(value.buffer, value.byteOffset, value.byteLength) };
  return { kind: 0, bytes: jsonOf(value, what) };
}

/** A value as JSON, in UTF-8. */
export function jsonOf(value: unknown, what: string): Uint8Array {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw malformed(`${what} cannot be made JSON: ${messageOf(cause)}`, cause);
  }
  if (text === undefined) {
    throw malformed(`${what} is ${describe(value)}: pass a string, a Uint8Array, or a value that JSON can say (null included)`);
  }
  return encodeUtf8(text);
}

export function describe(value: unknown): string {
  return value === undefined ? 'undefined' : typeof value === 'function' ? 'a function' : `a ${typeof value}`;
}
