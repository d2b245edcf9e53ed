import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from 'react';
import type { MessageList } from 'moorline/react';
import { keyOf, read, write } from './kept';

/** Where a message is written. A draft stays with its room and its writer, until that one signs out. */
export function Composer({ room, name, list, onTyping }: { room: string; name: string; list: MessageList; onTyping: () => void }) {
  const draft = keyOf('draft', name, room);
  const [text, setText] = useState(() => read(draft, ''));
  const [wrong, setWrong] = useState('');
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => write(draft, text), [draft, text]);
  useEffect(() => {
    // A keyboard of glass would cover the room.
    if (matchMedia('(hover: hover)').matches) field.current?.focus();
  }, []);
  useEffect(() => {
    const area = field.current!;
    area.style.height = 'auto';
    area.style.height = `${Math.min(area.scrollHeight, 160)}px`;
  }, [text]);
  const send = (event?: FormEvent) => {
    event?.preventDefault();
    const said = text.trim();
    if (!said) return;
    try {
      list.publish(said);
    } catch (error) {
      return setWrong((error as Error).message);
    }
    setText('');
    setWrong('');
    field.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form className="composer" onSubmit={send}>
      {wrong && <p className="wrong" role="alert" id="send-wrong">{wrong}</p>}
      <label className="sr" htmlFor="message">Message to {room}</label>
      <textarea
        id="message" ref={field} rows={1} value={text} placeholder={`Message #${room}`} enterKeyHint="send"
        aria-describedby={wrong ? 'send-wrong' : undefined} onKeyDown={onKeyDown}
        onChange={(event) => {
          setText(event.target.value);
          if (event.target.value.trim()) onTyping();
        }}
      />
      <button className="primary" disabled={!text.trim()} aria-label="Send">
        <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden><path fill="currentColor" d="M3.4 20.4 21 12 3.4 3.6 3.4 10.2 15 12 3.4 13.8z" /></svg>
      </button>
    </form>
  );
}
