import { memo, useState } from 'react';
import type { ListedMessage, MessageList } from 'moorline/react';
import { initials, tint } from './people';

interface EntryProps {
  readonly message: ListedMessage;
  readonly list: MessageList;
  readonly isMine: boolean;
  readonly isFirst: boolean;
  readonly day: string | undefined;
}

/** One message. */
export const Entry = memo(function Entry({ message, list, isMine, isFirst, day }: EntryProps) {
  const user = message.user ?? 'somebody';
  const time = new Date(message.time);
  return (
    <>
      {day && <li className="day"><span>{day}</span></li>}
      <li className={`entry${isMine ? ' mine' : ''}${isFirst ? ' first' : ''}`}>
        {!isMine && <span className="avatar" style={tint(user)} aria-hidden>{isFirst ? initials(user) : ''}</span>}
        <div className="bubble">
          {isMine ? <span className="sr">You: </span> : isFirst ? <span className="who" style={tint(user)}>{user}</span> : <span className="sr">{user}: </span>}
          <p>{textOf(message)}</p>
          <span className="meta">
            <time dateTime={time.toISOString()}>{time.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })}</time>
            {message.receipt && <Standing message={message} list={list} />}
          </span>
        </div>
      </li>
    </>
  );
}, (before, after) => before.message === after.message && before.isFirst === after.isFirst && before.day === after.day && before.isMine === after.isMine);

/** How far an own message is, and what can be done about it. */
function Standing({ message, list }: { message: ListedMessage; list: MessageList }) {
  // The same id: the server stores it once, whatever became of the first attempt.
  const [wrong, setWrong] = useState('');
  const retry = () => {
    try {
      list.publish(message.text ?? message.data ?? message.bytes, { id: message.id });
    } catch (error) {
      setWrong((error as Error).message);
    }
  };
  switch (message.state) {
    case 'queued':
      return <span className="state"><span aria-hidden>◷</span> waiting</span>;
    case 'sent':
      return <span className="state"><span aria-hidden>✓</span> sent</span>;
    case 'stored':
      return <span className="state"><span aria-hidden>✓✓</span> stored</span>;
    default:
      return (
        <span className="state wrong">
          {wrong || (message.state === 'failed' ? `not sent: ${message.receipt?.error?.message ?? 'it failed'}` : 'perhaps not sent')}
          <button className="quiet" onClick={retry}>Retry</button>
          <button className="quiet" onClick={() => list.discard(message)}>Remove</button>
        </span>
      );
  }
}

/** What a message says; others may have sent more than text. */
function textOf({ text, data, bytes }: ListedMessage): string {
  if (text !== undefined) return text;
  if (bytes) return `${bytes.length} bytes`;
  const said = (data as { text?: unknown } | null | undefined)?.text;
  return typeof said === 'string' ? said : JSON.stringify(data);
}
