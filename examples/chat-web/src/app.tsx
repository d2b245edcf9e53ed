import { useEffect, useState } from 'react';
import { type Client, createClient, indexedDb } from 'moorline';
import { MoorlineProvider } from 'moorline/react';
import { Chat } from './chat';
import { useKept } from './kept';
import { Welcome } from './welcome';

/** The server is where this page comes from. */
function connect(name: string): Client {
  const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
  return createClient({ url, token: `dev:${name}`, store: indexedDb({ name: `moorline-chat-${name}` }) });
}

export function App() {
  const [name, setName] = useKept('name', '');
  const [client, setClient] = useState<Client>();
  useEffect(() => {
    if (!name) return;
    const made = connect(name);
    setClient(made);
    return () => {
      setClient(undefined);
      void made.close();
    };
  }, [name]);
  if (!name) return <Welcome onName={setName} />;
  if (!client) return null;
  return (
    <MoorlineProvider client={client}>
      <Chat name={name} onLeave={() => setName('')} />
    </MoorlineProvider>
  );
}
