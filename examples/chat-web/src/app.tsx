import { useEffect, useState } from 'react';
import { type Client, type Store, createClient, indexedDb, memory } from 'moorline';
import { MoorlineProvider } from 'moorline/react';
import { Chat } from './chat';
import { forget, keyOf, useTabText } from './kept';
import { Welcome } from './welcome';

/** ms that a page which is about to go may keep the store of its user. */
const patience = 1000;

/** Gives the user's store to one tab, for as long as that is there; another tab of the same user remembers nothing. */
function withStore(name: string, use: (store: Store) => Promise<void>): void {
  const database = `moorline-chat-${name}`;
  navigator.locks
    .request(database, { signal: AbortSignal.timeout(patience) }, () => use(indexedDb({ name: database })))
    .catch((error: Error) => (error.name === 'TimeoutError' ? use(memory()) : undefined));
}

/** The server is where this page comes from. */
function connect(name: string, store: Store): Client {
  const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
  return createClient({ url, token: `dev:${name}`, store });
}

export function App() {
  const [name, setName] = useTabText('moorline-chat.name');
  const [client, setClient] = useState<Client>();
  useEffect(() => {
    if (!name) return;
    let end = () => {};
    const isOver = new Promise<void>((resolve) => void (end = resolve));
    let hasEnded = false;
    withStore(name, async (store) => {
      if (hasEnded) return;
      const made = connect(name, store);
      setClient(made);
      await isOver;
      await made.close();
    });
    return () => {
      hasEnded = true;
      setClient(undefined);
      end();
    };
  }, [name]);
  if (!name) return <Welcome onName={setName} />;
  if (!client) return null;
  return (
    <MoorlineProvider client={client}>
      <Chat name={name} onLeave={() => {
        forget(keyOf('draft', name));
        setName('');
      }} />
    </MoorlineProvider>
  );
}
