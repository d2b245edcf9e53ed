import { type FormEvent, useEffect, useState } from 'react';
import { useChannel, useMessages } from 'moorline/react';
import { keyOf, read, write } from './kept';
import { initials, tint } from './people';

/** How a room is read: all that show it share this. */
export const asMember = { presence: 'join' } as const;
export const channelOf = (room: string): string => `chat:${room}`;
/** Whether a channel can have the name of this room. */
export const canBe = (room: string): boolean =>
  room !== '' && !/[*\u0000-\u001f\u007f-\u009f]/.test(room) && new TextEncoder().encode(channelOf(room)).length <= 128;
export const linkOf = (room: string): string => `#/${encodeURIComponent(room)}`;

interface RoomsProps {
  readonly name: string;
  readonly rooms: readonly string[];
  readonly open: string;
  /** Whether it is a panel over the room. */
  readonly isOver: boolean;
  readonly onHide: () => void;
  readonly onLeave: () => void;
}

export function Rooms({ name, rooms, open, isOver, onHide, onLeave }: RoomsProps) {
  return (
    <nav className="rooms panel" aria-label="Rooms" {...dialog(isOver)}>
      <header>
        <h2>Rooms</h2>
        <button className="icon close" onClick={onHide} aria-label="Close the list of rooms">✕</button>
      </header>
      <ul>
        {rooms.map((room) => <RoomLink key={room} room={room} isOpen={room === open} name={name} />)}
      </ul>
      <Join onHide={onHide} />
      <footer>
        <span className="avatar" style={tint(name)} aria-hidden>{initials(name)}</span>
        <span className="who">{name}</span>
        <button className="quiet" onClick={onLeave}>Sign out</button>
      </footer>
    </nav>
  );
}

/** What makes a panel over the room a dialog. */
export const dialog = (isOver: boolean) => (isOver ? { role: 'dialog', 'aria-modal': true } as const : {});

/** A room stays joined while it is listed: its messages are counted until they are read. */
function RoomLink({ room, isOpen, name }: { room: string; isOpen: boolean; name: string }) {
  const channel = useChannel(channelOf(room), asMember);
  const { messages } = useMessages(channel);
  const kept = keyOf('seen', name, room);
  const [seen, setSeen] = useState<{ epoch?: string; offset: number }>(() => read(kept, { offset: 0 }));
  const newest = messages.findLast(({ offset }) => offset !== undefined);
  const isHere = useIsVisible() && isOpen;
  useEffect(() => {
    if (!isHere || newest?.offset === undefined) return;
    const position = { epoch: newest.epoch, offset: newest.offset };
    setSeen(position);
    write(kept, position);
  }, [isHere, newest?.epoch, newest?.offset, kept]);
  const unread = isHere ? 0 : messages.filter((message) =>
    message.offset !== undefined && message.user !== name && (message.epoch !== seen.epoch || message.offset > seen.offset)).length;
  const label = unread > 49 ? '50+' : `${unread}`;
  return (
    <li>
      <a href={linkOf(room)} aria-current={isOpen ? 'page' : undefined}>
        <span aria-hidden className="hash">#</span>
        <span className="name">{room}</span>
        {unread > 0 && <span className="unread"><span aria-hidden>{label}</span><span className="sr">, {label} unread</span></span>}
      </a>
    </li>
  );
}

/** Whether somebody can see the page. */
function useIsVisible(): boolean {
  const [isVisible, set] = useState(() => document.visibilityState === 'visible');
  useEffect(() => {
    const changed = () => set(document.visibilityState === 'visible');
    document.addEventListener('visibilitychange', changed);
    return () => document.removeEventListener('visibilitychange', changed);
  }, []);
  return isVisible;
}

function Join({ onHide }: { onHide: () => void }) {
  const [room, setRoom] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const given = room.trim().replace(/^#/, '').replace(/[*\u0000-\u001f\u007f-\u009f]/g, '');
    if (!given) return;
    location.hash = linkOf(given);
    setRoom('');
    onHide();
  };
  return (
    <form className="join" onSubmit={submit}>
      <label className="sr" htmlFor="join">Name of a room to join or make</label>
      <input id="join" value={room} maxLength={40} placeholder="Join a room…" autoComplete="off" enterKeyHint="go" onChange={(event) => setRoom(event.target.value)} />
      <button disabled={!room.trim()}>Join</button>
    </form>
  );
}
