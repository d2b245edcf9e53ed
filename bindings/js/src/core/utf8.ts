// UTF-8 by hand: some hosts have no TextEncoder and TextDecoder, and for the short texts of a frame writing it is as fast.
import { decoder } from '../host/text.js';

/** How many bytes follow the first one of a character. */
function followers(point: number): number {
  return point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
}

/** Bytes of a text in UTF-8. A lone surrogate becomes U+FFFD. */
export function utf8Length(text: string): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const more = followers(text.codePointAt(i)!);
    if (more === 3) i++;
    length += 1 + more;
  }
  return length;
}

/** Writes a text at `at`; returns where it ends. There must be room. */
export function writeUtf8(text: string, into: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) {
    let point = text.codePointAt(i)!;
    if (point >= 0xd800 && point < 0xe000) point = 0xfffd;
    let more = followers(point);
    if (more === 3) i++;
    into[at++] = more === 0 ? point : (0xff00 >> (more + 1)) | (point >> (6 * more));
    while (more-- > 0) into[at++] = 0x80 | ((point >> (6 * more)) & 63);
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
  let points: number[] = [];
  for (let at = from; at < to; ) {
    let point = bytes[at++]!;
    let more = point < 0x80 ? 0 : point < 0xe0 ? 1 : point < 0xf0 ? 2 : 3;
    if (more > 0) point &= 63 >> more;
    while (more-- > 0) point = (point << 6) | (bytes[at++]! & 63);
    points.push(point);
    if (points.length < 4096 && at < to) continue;
    text += String.fromCodePoint(...points);
    points = [];
  }
  return text;
}
