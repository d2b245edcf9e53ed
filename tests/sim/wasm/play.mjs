// Plays seeds of the simulator in WebAssembly: `node play.mjs FILE FIRST COUNT` prints `seed trace`, a line each.
// The module gets nothing from this host: it could not be instantiated if it imported anything.
import { readFile } from "node:fs/promises";

const [file, first, count] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(await readFile(file));
for (let seed = BigInt(first); seed < BigInt(first) + BigInt(count); seed++) {
  const trace = BigInt.asUintN(64, instance.exports.run(seed));
  console.log(`${seed} ${trace.toString(16).padStart(16, "0")}`);
}
