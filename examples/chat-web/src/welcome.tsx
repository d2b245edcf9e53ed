import { type FormEvent, useState } from 'react';

/** Asks who this is. */
export function Welcome({ onName }: { onName: (name: string) => void }) {
  const [name, setName] = useState('');
  const [isWrong, setWrong] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const given = name.trim();
    if (!given || /[*\u0000-\u001f\u007f-\u009f]/.test(given)) return setWrong(true);
    onName(given);
  };
  return (
    <main className="welcome">
      <form onSubmit={submit} noValidate>
        <h1>Moorline chat</h1>
        <p>Write a message, go offline, reload, come back: it arrives, once.</p>
        <label htmlFor="name">Your name</label>
        <input
          id="name" value={name} maxLength={24} autoFocus autoComplete="nickname" placeholder="alice" enterKeyHint="go"
          aria-invalid={isWrong} aria-describedby={isWrong ? 'name-wrong' : undefined}
          onChange={(event) => { setName(event.target.value); setWrong(false); }}
        />
        {isWrong && <p id="name-wrong" role="alert" className="wrong">Enter a name, without an asterisk.</p>}
        <button className="primary">Start chatting</button>
      </form>
    </main>
  );
}
