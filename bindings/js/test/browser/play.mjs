// Plays seeds of the simulator in Chromium: `node play.mjs FILE FIRST COUNT` prints `seed trace`, a line each.
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';

const [file, first, count] = process.argv.slice(2);
const executablePath = process.env.MOORLINE_CHROMIUM ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  const page = await browser.newPage();
  await page.route('http://localhost/sim.wasm', async (route) => route.fulfill({ body: await readFile(file), contentType: 'application/wasm' }));
  await page.route('http://localhost/', (route) => route.fulfill({ body: '<!doctype html>', contentType: 'text/html' }));
  await page.goto('http://localhost/');
  const lines = await page.evaluate(async ([from, many]) => {
    const { instance } = await WebAssembly.instantiateStreaming(fetch('/sim.wasm'));
    const played = [];
    for (let seed = BigInt(from); seed < BigInt(from) + BigInt(many); seed++) {
      played.push(`${seed} ${BigInt.asUintN(64, instance.exports.run(seed)).toString(16).padStart(16, '0')}`);
    }
    return played;
  }, [first, count]);
  console.log(lines.join('\n'));
} finally {
  await browser.close();
}
