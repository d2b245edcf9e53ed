// Base64 by hand: mini-programs have no atob and btoa.

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export function encodeBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const three = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += alphabet.charAt(three >> 18) + alphabet.charAt((three >> 12) & 63);
    text += i + 1 < bytes.length ? alphabet.charAt((three >> 6) & 63) : '=';
    text += i + 2 < bytes.length ? alphabet.charAt(three & 63) : '=';
  }
  return text;
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
