// UTF-8 by hand: some hosts have no TextEncoder and TextDecoder, and for the short texts of a frame writing it is as fast.
import { decoder } from '../host/text.js';

/** Bytes of a text in UTF-8. A lone surrogate becomes U+FFFD. */
export function utf8Length(text: string): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) length += 1;
    else if (unit < 0x800) length += 2;
    else if (isPair(text, i)) (length += 4), i++;
    else length += 3;
  }
  return length;
}

/** Writes a text at `at`; returns where it ends. There must be room. */
export function writeUtf8(text: string, into: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) {
    let point = text.charCodeAt(i);
    if (point < 0x80) {
      into[at++] = point;
      continue;
    }
    if (isPair(text, i)) point = 0x10000 + ((point - 0xd800) << 10) + (text.charCodeAt(++i) - 0xdc00);
    else if (point >= 0xd800 && point < 0xe000) point = 0xfffd;
    if (point < 0x800) {
      into[at++] = 0xc0 | (point >> 6);
    } else {
      if (point < 0x10000) into[at++] = 0xe0 | (point >> 12);
      else (into[at++] = 0xf0 | (point >> 18)), (into[at++] = 0x80 | ((point >> 12) & 63));
      into[at++] = 0x80 | ((point >> 6) & 63);
    }
    into[at++] = 0x80 | (point & 63);
  }
  return at;
}

export function encodeUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(utf8Length(text));
  writeUtf8(text, bytes, 0);
  return bytes;
}

/** Tells whether a text is ASCII, and stands here. */
export function isPlain(text: string, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 127 || unit !== bytes[at + i]) return false;
  }
  return true;
}

/** Reads bytes that the core has checked: they are UTF-8. */
export function readUtf8(bytes: Uint8Array, from: number, to: number): string {
  const utf8 = decoder();
  if (utf8) return utf8.decode(bytes.subarray(from, to));
  let text = '';
  let plain = from;
  let at = from;
  while (at < to) {
    const lead = bytes[at]!;
    if (lead < 0x80) {
      at++;
      if (at - plain < 4096) continue;
    }
    text += ascii(bytes, plain, at);
    if (lead >= 0x80) {
      const next = (offset: number): number => bytes[at + offset]! & 63;
      let point: number;
      if (lead < 0xe0) (point = ((lead & 31) << 6) | next(1)), (at += 2);
      else if (lead < 0xf0) (point = ((lead & 15) << 12) | (next(1) << 6) | next(2)), (at += 3);
      else (point = ((lead & 7) << 18) | (next(1) << 12) | (next(2) << 6) | next(3)), (at += 4);
      text += String.fromCodePoint(point);
    }
    plain = at;
  }
  return text + ascii(bytes, plain, at);
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return from === to ? '' : String.fromCharCode.apply(null, bytes.subarray(from, to) as unknown as number[]);
}

function isPair(text: string, i: number): boolean {
  const high = text.charCodeAt(i);
  const low = text.charCodeAt(i + 1);
  return high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000;
}
