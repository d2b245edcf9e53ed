// An app in Node with CommonJS: `node run.cjs URL USER`.
const { createClient, memory } = require('moorline');

(async () => {
  const [url, user] = process.argv.slice(2);
  const client = createClient({ url, token: `dev:${user}`, store: memory() });
  const messages = client.channel(`room:${user}`, { since: 'first' }).messages();
  client.channel(`room:${user}`).publish({ text: 'hi' });
  const { value } = await messages.next();
  console.log(value.data.text);
  await client.close();
})();
