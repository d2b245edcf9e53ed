// Bundles of this package and of its peers: minified by esbuild for browsers (ES2020), as a page that makes a client gets them.
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { brotli } from '../scripts/brotli.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const own = (entry, and = '') => `export { createClient${and} } from ${JSON.stringify(here(`../dist/${entry}.js`))};`;
const bundles = [
  ['moorline', own('index')],
  ['moorline/slim, without its core', own('slim', ', init')],
  ['moorline/blackbox', own('blackbox')],
  ['centrifuge (JSON)', "export { Centrifuge } from 'centrifuge';"],
  ['centrifuge (protobuf)', "export { Centrifuge } from 'centrifuge/build/protobuf';"],
  ['ably', "export { Realtime } from 'ably';"],
  ['ably/modular', "export { BaseRealtime, WebSocketTransport, FetchRequest } from 'ably/modular';"],
  ['socket.io-client', "export { io } from 'socket.io-client';"],
  ['mqtt', "export { default } from 'mqtt';"],
  ['phoenix', "export { Socket } from 'phoenix';"],
  ['pusher-js', "export { default } from 'pusher-js';"],
  ['goeasy', "export { default } from 'goeasy';"],
];
console.log('| Bundle | minified | gzip | brotli |\n|--|--|--|--|');
for (const [name, contents] of bundles) {
  try {
    const options = { bundle: true, minify: true, format: 'esm', target: 'es2020', platform: 'browser', write: false, logLevel: 'silent', tsconfigRaw: {} };
    const made = await build({ ...options, stdin: { contents, resolveDir: here('peers') }, define: { global: 'globalThis' } });
    const bytes = made.outputFiles[0].contents;
    const kb = (length) => (length / 1000).toFixed(1);
    console.log(`| ${name} | ${kb(bytes.length)} | ${kb(gzipSync(bytes, { level: 9 }).length)} | ${kb(brotli(bytes).length)} |`);
  } catch (error) {
    console.log(`| ${name} | did not bundle: ${error.errors?.[0]?.text ?? error.message} | | |`);
  }
}
