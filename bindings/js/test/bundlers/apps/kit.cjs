// As jest runs it: the modules are scripts of a virtual machine in which `import()` fails.
const { readFileSync } = require('node:fs');
const { dirname } = require('node:path');
const { Script } = require('node:vm');

function load(name) {
  const file = require.resolve(name);
  const module = { exports: {} };
  const run = new Script(`(function (module, exports, require, __filename, __dirname) {${readFileSync(file, 'utf8')}\n})`, { filename: file });
  run.runInThisContext()(module, module.exports, require, file, dirname(file));
  return module.exports;
}

const { createClient } = load('moorline');
const { createTestServer } = load('moorline/testing');

async function main() {
  const server = await createTestServer();
  const client = createClient({ url: server.url, token: server.token('alice'), host: server.host() });
  server.onCall('echo', ({ data }) => data);
  const said = await client.call('echo', 'hi');
  server.cut(client);
  server.stop();
  console.log(said);
}

main();
