// A module as a text: taken apart into the streams of src/core/streams.ts, each written in printable ASCII that no bundler has
// to escape. The most frequent bytes are one character, the others two, both in the order of the bytes, so that neighbours stay
// neighbours. In brotli that is 12 % less than the module itself; as base64 the module would be 27 % more, since that tears the
// bytes apart.
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const source = fileURLToPath(new URL('../src/core/streams.ts', import.meta.url));
const [{ text: code }] = buildSync({ entryPoints: [source], bundle: true, format: 'esm', write: false }).outputFiles;
const { CODE, SECTIONS, STREAMS, body } = await import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`);

const characters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).filter((c) => !"'\\`$".includes(c)).join('');
const prefixes = characters.slice(-2);
const singles = characters.slice(0, -2);

/** Returns the streams of a module. What `together` of src/core/inline.ts makes of them is that module, without alignments. */
export function apart(module) {
  const streams = Array.from({ length: STREAMS }, () => []);
  let at = 8;
  const bytes = {
    byte: (stream) => {
      streams[stream].push(module[at]);
      return module[at++];
    },
    // Behind the constant before which it is asked for.
    next: () => {
      let behind = at;
      while (module[behind] > 127) behind++;
      return module[behind + 1];
    },
    alignment: () => at++,
  };
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      value |= (module[at] & 127) << shift;
      if (module[at++] < 128) return value;
    }
  };
  while (at < module.length) {
    const start = at;
    const id = module[at++];
    const size = number();
    const end = at + size;
    if (id !== CODE) {
      streams[SECTIONS].push(...module.subarray(start, end));
      at = end;
      continue;
    }
    streams[SECTIONS].push(id);
    const count = at;
    const functions = number();
    streams[SECTIONS].push(...module.subarray(count, at));
    for (let i = 0; i < functions; i++) {
      const size = number();
      const end = at + size;
      body(bytes);
      if (at !== end) throw new Error('the module has an instruction that src/core/streams.ts does not know');
    }
  }
  return streams;
}

/** Returns which bytes are frequent (a bit each, lowest first, four to a hex digit), and the text. */
function write(bytes) {
  const counts = new Array(256).fill(0);
  for (const byte of bytes) counts[byte]++;
  const all = counts.map((_, byte) => byte);
  const frequent = new Set([...all].sort((a, b) => counts[b] - counts[a] || a - b).slice(0, singles.length));
  const codes = [];
  let [single, pair] = [0, 0];
  for (const byte of all) {
    if (frequent.has(byte)) codes.push(singles[single++]);
    else codes.push(prefixes[Math.floor(pair / characters.length)] + characters[pair++ % characters.length]);
  }
  const digit = (_, at) => [0, 1, 2, 3].reduce((sum, bit) => sum + (frequent.has(at * 4 + bit) ? 1 << bit : 0), 0).toString(16);
  return { frequent: Array.from({ length: 64 }, digit).join(''), text: Array.from(bytes, (byte) => codes[byte]).join('') };
}

/** Returns a module as src/core/inline.ts reads it. */
export function encode(module) {
  const streams = apart(module);
  const written = streams.map(write);
  return {
    frequent: written.map(({ frequent }) => frequent),
    lengths: streams.map(({ length }) => length),
    text: written.map(({ text }) => text).join(''),
  };
}
