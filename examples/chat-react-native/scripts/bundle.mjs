// Bundles the app with Metro, as a release is bundled, and compiles it to Hermes bytecode: node scripts/bundle.mjs android|ios
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const Metro = require('metro');

/** Bundles the app; returns where it is. */
export async function bundle(platform) {
  mkdirSync(here(`dist/${platform}`), { recursive: true });
  const out = here(`dist/${platform}/index.bundle.js`);
  const config = await Metro.loadConfig({ config: here('metro.config.js') });
  await Metro.runBuild(config, { entry: here('index.js'), out, platform, dev: false, minify: false });
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
  if (platform !== 'android' && platform !== 'ios') {
    console.error('node scripts/bundle.mjs android|ios');
    process.exit(2);
  }
  const file = await bundle(platform);
  const bytecode = compile(file);
  console.log(`${file}: ${statSync(file).size} bytes; ${bytecode}: ${statSync(bytecode).size} bytes`);
}
