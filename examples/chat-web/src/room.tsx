import { useEffect, useState } from 'react';
import { type Member } from 'moorline';
import { useChannel, useConnection, useMessages, usePresence } from 'moorline/react';
import { Composer } from './composer';
import { Log } from './log';
import { initials, tint } from './people';
import { asMember, channelOf, dialog } from './rooms';
import { TypingLine, useTyping } from './typing';

interface RoomProps {
  readonly room: string;
  readonly name: string;
  readonly panel: 'rooms' | 'people' | undefined;
  readonly onShow: (panel: 'rooms' | 'people') => void;
  readonly onHide: () => void;
  readonly onLeave: (() => void) | undefined;
}

export function Room({ room, name, panel, onShow, onHide, onLeave }: RoomProps) {
  const channel = useChannel(channelOf(room), asMember);
  const list = useMessages(channel);
  const members = usePresence(channel);
  const typing = useTyping(channel, name);
  useEffect(() => void (document.title = `#${room} · Moorline chat`), [room]);
  const here = members.count === undefined ? '…' : `${members.count}`;
  return (
    <>
      <main className="room" inert={panel !== undefined}>
        <header>
          <button className="icon narrow" onClick={() => onShow('rooms')} aria-expanded={panel === 'rooms'} aria-label="Show the list of rooms">☰</button>
          <h1><span aria-hidden>#</span>{room}</h1>
          {onLeave && <button className="quiet" onClick={onLeave}>Leave<span className="sr"> {room}</span></button>}
          <button className="quiet narrow" onClick={() => onShow('people')} aria-expanded={panel === 'people'}>
            <span className="dot" aria-hidden />{here}<span className="sr"> people here, show them</span>
          </button>
        </header>
        {list.error && <p className="notice wrong" role="alert">This room cannot be read: {list.error.message}</p>}
        {list.reset && <Reset key={`${list.reset.epoch}.${list.reset.from}`} reason={list.reset.reason} />}
        <Log list={list} name={name} room={room} />
        <TypingLine users={typing.users} />
        <Composer room={room} name={name} list={list} onTyping={typing.tell} />
      </main>
      <People list={members.list} count={members.count} name={name} isOver={panel === 'people'} onHide={onHide} />
    </>
  );
}

function Reset({ reason }: { reason: 'trimmed' | 'epoch' }) {
  const [isShown, show] = useState(true);
  if (!isShown) return null;
  return (
    <p className="notice" role="status">
      {reason === 'epoch' ? 'The server began this room anew: what was here before is gone.' : 'You were away for longer than the server keeps messages: some are missing here.'}
      <button className="quiet" onClick={() => show(false)}>Got it</button>
    </p>
  );
}

interface PeopleProps {
  readonly list: readonly Member[] | undefined;
  readonly count: number | undefined;
  readonly name: string;
  readonly isOver: boolean;
  readonly onHide: () => void;
}

function People({ list, count, name, isOver, onHide }: PeopleProps) {
  const isOnline = useConnection().state === 'online';
  return (
    <aside className="people panel" aria-label="People here" {...dialog(isOver)}>
      <header>
        <h2>{isOnline ? 'Here now' : 'Were here'}{count === undefined ? '' : ` · ${count}`}</h2>
        <button className="icon close" onClick={onHide} aria-label="Close the list of people">✕</button>
      </header>
      {list ? (
        <ul>
          {list.map(({ user }) => (
            <li key={user}>
              <span className="avatar" style={tint(user)} aria-hidden>{initials(user)}</span>
              <span className="who" style={tint(user)}>{user}</span>
              {user === name && <span className="you">you</span>}
            </li>
          ))}
        </ul>
      ) : <p className="faint">{count === undefined ? 'Not known while there is no connection.' : 'Too many to list.'}</p>}
    </aside>
  );
}
