const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Bytes in base64. */
export function textOf(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const [first, second, third] = [bytes[at]!, bytes[at + 1], bytes[at + 2]];
    const group = (first << 16) | ((second ?? 0) << 8) | (third ?? 0);
    text += digits[group >> 18]! + digits[(group >> 12) & 63]!;
    text += (second === undefined ? '=' : digits[(group >> 6) & 63]!) + (third === undefined ? '=' : digits[group & 63]!);
  }
  return text;
}

export function bytesOf(text: string): Uint8Array {
  const length = text.replace(/=+$/, '').length;
  const bytes = new Uint8Array((length * 3) >> 2);
  let [held, bits, at] = [0, 0, 0];
  for (let i = 0; i < length; i++) {
    held = ((held << 6) | digits.indexOf(text[i]!)) & 0xffff;
    bits += 6;
    if (bits >= 8) bytes[at++] = (held >> (bits -= 8)) & 255;
  }
  return bytes;
}
