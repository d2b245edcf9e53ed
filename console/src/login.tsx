import { useEffect, useRef, useState } from 'react';
import { api, Refused, saying, type Who } from './api';
import { Mark } from './icons';

/** Takes the key out of the link that a development server prints. */
function keyOfLink(): string {
  const key = /^#key=(.+)$/.exec(location.hash)?.[1] ?? '';
  if (key) history.replaceState(null, '', location.pathname);
  return key;
}

const link = keyOfLink();

export function Login({ note, onWho }: { note: string | undefined; onWho: (who: Who) => void }) {
  const [key, setKey] = useState('');
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const enter = async (shown: string): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      onWho(await api.login(shown));
    } catch (refused) {
      const wait = refused instanceof Refused && refused.after !== undefined ? ` Try again in ${Math.ceil(refused.after / 1_000)} s.` : '';
      const why = refused instanceof Refused && refused.status === 401 ? 'This key is not known, has expired, or was a link that is used up.' : saying(refused);
      setError(`${why}${wait}`);
      setBusy(false);
      field.current?.focus();
    }
  };
  const isTried = useRef(false);
  useEffect(() => {
    if (link && !isTried.current) {
      isTried.current = true;
      void enter(link);
    }
  }, []);
  return (
    <main className="login">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (key.trim()) void enter(key.trim());
        }}
      >
        <p className="brand"><Mark /> Moorline</p>
        <h1>Log in to the console</h1>
        {note && <p className="faint" role="status">{note}</p>}
        <label htmlFor="key">Console key</label>
        <input
          ref={field}
          id="key"
          type="password"
          autoComplete="current-password"
          spellCheck={false}
          autoFocus
          value={key}
          aria-invalid={error !== undefined}
          aria-describedby="hint"
          onChange={(event) => setKey(event.target.value)}
        />
        {error && <p className="wrong" role="alert">{error}</p>}
        <button className="primary" disabled={isBusy || !key.trim()}>{isBusy ? 'Logging in…' : 'Log in'}</button>
        <p id="hint" className="faint small">
          Made by <code>moorline-server key new --console</code>. A server in development mode prints a link instead; it is good once.
        </p>
      </form>
    </main>
  );
}
