import { createClient } from 'moorline';
import { createTestServer } from 'moorline/testing';

const server = await createTestServer();
const client = createClient({ url: server.url, token: server.token('alice'), host: server.host() });
server.onCall('echo', ({ data }) => data);
const said = await client.call('echo', 'hi');
server.cut(client);
server.stop();
console.log(said);
