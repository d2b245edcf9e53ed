// A module as a text of printable ASCII that no bundler has to escape. The most frequent bytes are one character, the others
// two. In brotli that is 2 % more than the module itself; base64 would be 27 % more, since it tears the bytes apart.
const characters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).filter((c) => !"'\\`$".includes(c)).join('');
const prefixes = characters.slice(-2);
const singles = characters.slice(0, -2);

/** Returns all bytes, the most frequent first (in hex), and the text. */
export function encode(bytes) {
  const counts = new Array(256).fill(0);
  for (const byte of bytes) counts[byte]++;
  const order = counts.map((_, byte) => byte).sort((a, b) => counts[b] - counts[a] || a - b);
  const codes = [];
  order.forEach((byte, rank) => {
    const beyond = rank - singles.length;
    codes[byte] = beyond < 0 ? singles[rank] : prefixes[Math.floor(beyond / characters.length)] + characters[beyond % characters.length];
  });
  return { order: Buffer.from(order).toString('hex'), text: Array.from(bytes, (byte) => codes[byte]).join('') };
}
