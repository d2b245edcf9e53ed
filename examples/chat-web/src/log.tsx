import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { ListedMessage, MessageList } from 'moorline/react';
import { Entry } from './entry';

/** px from an edge that still count as being there. */
const near = 80;

/** The messages of a room: it stays at the newest while the reader is there, and where the reader is otherwise. */
export function Log({ list, name, room }: { list: MessageList; name: string; room: string }) {
  const { messages, hasOlder, isLoading, loadOlder } = list;
  const box = useRef<HTMLDivElement>(null);
  const [isAtEnd, setAtEnd] = useState(true);
  const [seen, setSeen] = useState<string>();
  const before = useRef({ anchor: undefined as HTMLElement | undefined, top: 0, atEnd: true });
  const last = messages.at(-1);

  useLayoutEffect(() => {
    const at = box.current!;
    const was = before.current;
    if (was.atEnd || last?.state === 'queued') at.scrollTop = at.scrollHeight;
    // Whatever came or went above: what was read stays under the eyes.
    else if (was.anchor?.isConnected) at.scrollTop += topOf(was.anchor, at) - was.top;
    note(at, was.atEnd);
  }, [messages]);

  /** Remembers where the reader is: the first entry in sight, and where it is seen. */
  const note = (at: HTMLElement, atEnd: boolean) => {
    const entries = at.querySelectorAll<HTMLElement>('.entry');
    const anchor = [...entries].find((entry) => topOf(entry, at) + entry.offsetHeight > 0);
    before.current = { anchor, top: anchor ? topOf(anchor, at) : 0, atEnd };
  };

  const scrolled = () => {
    const at = box.current!;
    const atEnd = at.scrollHeight - at.scrollTop - at.clientHeight < near;
    note(at, atEnd);
    setAtEnd(atEnd);
    if (atEnd) list.trim();
    else if (at.scrollTop < near && hasOlder && !isLoading) void loadOlder();
  };
  useEffect(() => {
    if (isAtEnd) setSeen(last?.key);
  }, [isAtEnd, last?.key]);
  useEffect(() => {
    // The room for it changes: a keyboard, a line more to write in.
    const watch = new ResizeObserver(() => {
      if (before.current.atEnd) box.current!.scrollTop = box.current!.scrollHeight;
    });
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);

  const unseen = isAtEnd ? 0 : messages.length - 1 - messages.findIndex(({ key }) => key === seen);
  return (
    <div className="log-frame">
      <div className="log" ref={box} onScroll={scrolled} tabIndex={0} role="log" aria-label={`Messages in ${room}`} aria-busy={isLoading}>
        {hasOlder && <button className="quiet older" disabled={isLoading} onClick={() => void loadOlder()}>{isLoading ? 'Loading…' : 'Load earlier messages'}</button>}
        {!hasOlder && !isLoading && <p className="begin">{messages.length ? 'This is where it begins.' : `Nobody has said anything in #${room} yet. Be the first.`}</p>}
        {isLoading && messages.length === 0 && <p className="begin">Loading…</p>}
        <ol>
          {messages.map((message, at) => (
            <Entry key={message.key} message={message} list={list} isMine={isMine(message, name)} isFirst={isFirst(messages[at - 1], message, name)} day={dayOf(messages[at - 1], message)} />
          ))}
        </ol>
      </div>
      {!isAtEnd && (
        <button className="jump" onClick={() => (box.current!.scrollTop = box.current!.scrollHeight)}>
          {unseen > 0 ? `${unseen} new ` : 'To the newest '}<span aria-hidden>↓</span>
        </button>
      )}
    </div>
  );
}

/** Where an entry is seen, from the top of the log on. */
const topOf = (entry: HTMLElement, log: HTMLElement): number => entry.getBoundingClientRect().top - log.getBoundingClientRect().top;

const isMine = (message: ListedMessage, name: string): boolean => message.receipt !== undefined || message.user === name;

/** Whether a message begins a group: another user, or a while later. */
function isFirst(before: ListedMessage | undefined, message: ListedMessage, name: string): boolean {
  if (!before || message.time - before.time > 5 * 60_000 || dayOf(before, message)) return true;
  return isMine(before, name) !== isMine(message, name) || (!isMine(message, name) && before.user !== message.user);
}

/** The day, where it begins. */
function dayOf(before: ListedMessage | undefined, message: ListedMessage): string | undefined {
  const day = new Date(message.time);
  if (before && new Date(before.time).toDateString() === day.toDateString()) return undefined;
  return day.toDateString() === new Date().toDateString() ? 'Today' : day.toLocaleDateString(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
}
