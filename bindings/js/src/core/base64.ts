// Base64 by hand: mini-programs have no atob and btoa.

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

let pairs: readonly string[] | undefined;

/** What each 12 bits come to; made when it is needed. */
function pairsOfCharacters(): readonly string[] {
  if (!pairs) {
    const made: string[] = [];
    for (const first of alphabet.split('')) for (const second of alphabet.split('')) made.push(first + second);
    pairs = made;
  }
  return pairs;
}

export function encodeBase64(bytes: Uint8Array): string {
  const table = pairsOfCharacters();
  const whole = bytes.length - (bytes.length % 3);
  let text = '';
  for (let i = 0; i < whole; i += 3) {
    const three = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!;
    text += table[three >> 12]! + table[three & 4095]!;
  }
  if (whole === bytes.length) return text;
  const three = (bytes[whole]! << 16) | ((bytes[whole + 1] ?? 0) << 8);
  return text + table[three >> 12]! + (whole + 1 < bytes.length ? alphabet.charAt((three >> 6) & 63) : '=') + '=';
}

/** What is no character of base64 ends it. */
export function decodeBase64(text: string): Uint8Array {
  const ranks = new Uint8Array(128).fill(64);
  for (let i = 0; i < 64; i++) ranks[alphabet.charCodeAt(i)] = i;
  let length = 0;
  while (length < text.length && (ranks[text.charCodeAt(length)] ?? 64) < 64) length++;
  const bytes = new Uint8Array(Math.floor((length * 3) / 4));
  let [bits, held, at] = [0, 0, 0];
  for (let i = 0; i < length; i++) {
    bits = ((bits << 6) | ranks[text.charCodeAt(i)]!) & 0xffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes[at++] = (bits >> held) & 255;
  }
  return bytes;
}
