import { describe, it } from 'vitest';

import { type TestServer, createTestServer, describeHost } from '../../src/testing/index.js';

let server: TestServer;

async function make() {
  server = await createTestServer();
  return server.host();
}

describeHost('of a test server', make, {
  describe,
  it,
  url: 'ws://moorline.test/ws',
  deadUrl: 'ws://moorline.test/elsewhere',
  pass: (ms) => server.advance(ms),
});
