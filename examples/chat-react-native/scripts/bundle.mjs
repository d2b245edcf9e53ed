// Bundles the app with Metro, as a release is bundled, and compiles it to Hermes bytecode: node scripts/bundle.mjs android|ios,
// or `test`: the app without React Native's native side, for the test that runs it in Hermes.
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const Metro = require('metro');

/** Bundles an entry; returns where it is. */
export async function bundle(platform, entry = 'index.js', config = 'metro.config.js', folder = platform) {
  mkdirSync(here(`dist/${folder}`), { recursive: true });
  const out = here(`dist/${folder}/${entry.replace(/^.*\//, '').replace(/\.js$/, '')}.bundle.js`);
  const loaded = await Metro.loadConfig({ config: here(config) });
  await Metro.runBuild(loaded, { entry: here(entry), out, platform, dev: false, minify: false });
  return out;
}

/** Compiles a bundle with React Native's own Hermes compiler. */
export function compile(file) {
  const folder = { linux: 'linux64-bin', darwin: 'osx-bin', win32: 'win64-bin' }[process.platform];
  const out = file.replace(/\.js$/, '.hbc');
  execFileSync(here(`node_modules/react-native/sdks/hermesc/${folder}/hermesc`), ['-w', '-O', '-emit-binary', '-out', out, file], { stdio: 'inherit' });
  return out;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const platform = process.argv[2];
  if (platform === 'test') {
    console.log(await bundle('android', 'test/main.js', 'metro.test.config.js', 'test'));
    process.exit(0);
  }
  if (platform !== 'android' && platform !== 'ios') {
    console.error('node scripts/bundle.mjs android|ios|test');
    process.exit(2);
  }
  const file = await bundle(platform);
  const bytecode = compile(file);
  console.log(`${file}: ${statSync(file).size} bytes; ${bytecode}: ${statSync(bytecode).size} bytes`);
}
