import { useEffect, useRef, useState } from 'react';
import type { Channel } from 'moorline';
import { useEvent } from 'moorline/react';

/** ms between two signs of typing, and for how long one counts. */
const every = 2000;
const lasts = 4500;
/** ms after a message in which a sign is an older one that came late: they keep no order with what is kept. */
const late = 1000;

/** Who types in a channel, told by messages at QoS 0: they are not kept, and nobody waits for them. */
export function useTyping(channel: Channel, name: string): { users: readonly string[]; tell: () => void } {
  const [until, setUntil] = useState<Readonly<Record<string, number>>>({});
  const last = useRef(0);
  const spoke = useRef(new Map<string, number>());
  useEvent(channel, 'message', ({ user, data, offset }) => {
    if (user === undefined || user === name) return;
    const isSign = (data as { typing?: unknown } | undefined)?.typing === true;
    if (!isSign && offset === undefined) return;
    if (isSign && Date.now() - (spoke.current.get(user) ?? 0) < late) return;
    // A message that came is typed no more.
    if (!isSign) spoke.current.set(user, Date.now());
    setUntil((before) => ({ ...before, [user]: isSign ? Date.now() + lasts : 0 }));
  });
  const users = Object.keys(until).filter((user) => until[user]! > Date.now());
  const next = Math.min(...users.map((user) => until[user]!));
  useEffect(() => {
    if (next === Infinity) return;
    const timer = setTimeout(() => setUntil((before) => ({ ...before })), next - Date.now() + 10);
    return () => clearTimeout(timer);
  }, [next]);
  const tell = () => {
    if (Date.now() - last.current < every) return;
    last.current = Date.now();
    channel.publish({ typing: true }, { qos: 0 });
  };
  return { users, tell };
}

export function TypingLine({ users }: { users: readonly string[] }) {
  const [first, second] = users;
  const says = users.length === 0 ? '' : users.length === 1 ? `${first} is typing` : users.length === 2 ? `${first} and ${second} are typing` : 'Several people are typing';
  return (
    <p className="typing" aria-live="off">
      {says && <>{says}<span className="dots" aria-hidden><i /><i /><i /></span></>}
    </p>
  );
}
