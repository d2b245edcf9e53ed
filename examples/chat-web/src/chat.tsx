import { useEffect, useRef, useState } from 'react';
import { useClient, useConnection } from 'moorline/react';
import { Rooms, canBe } from './rooms';
import { Room } from './room';
import { read, write } from './kept';

/** The room that an address names; nothing where it names none that can be. */
const nameOf = (hash: string): string => {
  try {
    const name = decodeURIComponent(hash.replace(/^#\/?/, ''));
    return canBe(name) ? name : '';
  } catch {
    return '';
  }
};

/** The rooms of this browser's user, and the one that is open: the address has its name. */
function useRooms(user: string): { rooms: readonly string[]; open: string; leave: (room: string) => void } {
  const [open, setOpen] = useState(() => nameOf(location.hash) || 'lobby');
  const [rooms, setRooms] = useState<readonly string[]>(() => read(`rooms.${user}`, ['lobby', 'random']).filter(canBe));
  useEffect(() => {
    const changed = () => setOpen(nameOf(location.hash) || 'lobby');
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  const all = rooms.includes(open) ? rooms : [...rooms, open];
  useEffect(() => write(`rooms.${user}`, all), [user, all.join('\n')]);
  const leave = (room: string) => {
    const left = all.filter((other) => other !== room);
    setRooms(left.length ? left : ['lobby']);
    location.hash = `#/${encodeURIComponent(left[0] ?? 'lobby')}`;
  };
  useEffect(() => setRooms(all), [open]);
  return { rooms: all, open, leave };
}

export function Chat({ name, onLeave }: { name: string; onLeave: () => void }) {
  const { rooms, open, leave } = useRooms(name);
  const [panel, setPanel] = useState<'rooms' | 'people' | undefined>();
  const opener = useRef<HTMLElement>(null);
  const show = (which: 'rooms' | 'people') => {
    opener.current = document.activeElement as HTMLElement;
    setPanel(which);
  };
  const hide = () => setPanel(undefined);
  useEffect(() => setPanel(undefined), [open]);
  useEffect(() => {
    if (!panel) return opener.current?.focus();
    document.querySelector<HTMLElement>(`.${panel} .close`)?.focus();
    const escape = (event: KeyboardEvent) => event.key === 'Escape' && hide();
    // Where there is room for all, a panel lies over nothing.
    const narrow = matchMedia('(max-width: 1000px)');
    addEventListener('keydown', escape);
    narrow.addEventListener('change', hide);
    return () => {
      removeEventListener('keydown', escape);
      narrow.removeEventListener('change', hide);
    };
  }, [panel]);
  return (
    <div className="chat" data-panel={panel}>
      <Offline />
      <Rooms name={name} rooms={rooms} open={open} isOver={panel === 'rooms'} onHide={hide} onLeave={onLeave} />
      <Room key={open} room={open} name={name} panel={panel} onShow={show} onHide={hide} onLeave={rooms.length > 1 ? () => leave(open) : undefined} />
      {panel && <div className="shade" onClick={hide} />}
    </div>
  );
}

/** Says that there is no connection, and what that means. */
function Offline() {
  const client = useClient();
  const connection = useConnection();
  const [waiting, setWaiting] = useState(client.outbox.messages);
  useEffect(() => client.on('outbox', (outbox) => setWaiting(outbox.messages)), [client]);
  const wasOnline = useRef(false);
  if (connection.state === 'online') wasOnline.current = true;
  const says = () => {
    if (connection.state === 'online' || connection.state === 'idle') return '';
    if (connection.state === 'closed') return connection.cause ? `Disconnected: ${connection.cause.message}` : '';
    if (connection.state === 'connecting' && !connection.cause && !wasOnline.current) return 'Connecting…';
    const held = waiting === 1 ? '1 message waits' : waiting > 1 ? `${waiting} messages wait` : 'What you send now waits';
    return `You are offline. ${held} here and goes out when the connection is back.`.replace(/(messages wait) here and goes/, '$1 here and go');
  };
  const text = says();
  return <p className="offline" role="status" hidden={!text}>{text}</p>;
}
