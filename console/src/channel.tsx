import { useEffect, useMemo, useRef, useState } from 'react';
import { type Connection, createClient, memory, type Message } from 'moorline';
import { api, saying, type Who } from './api';
import { bytes, clock, count, moment, span } from './format';
import { to, useAsked } from './use';

/** Messages that the page keeps. */
const MOST = 500;
/** Messages that are shown at first. */
const LAST = 50;

interface Tail {
  readonly messages: readonly Message[];
  readonly connection: Connection;
  readonly trouble?: string;
}

const online: Connection['state'] = 'online';

/** Follows a channel as every client does: by the npm package, with a token that only reads. */
function useTail(app: string, name: string, socket: string | undefined, isPaused: boolean): Tail {
  const [tail, setTail] = useState<Tail>({ messages: [], connection: { state: 'idle' } });
  const paused = useRef(isPaused);
  const waiting = useRef<Message[]>([]);
  const add = (messages: readonly Message[]): void => setTail((old) => ({ ...old, messages: [...old.messages, ...messages].slice(-MOST) }));
  useEffect(() => {
    paused.current = isPaused;
    if (!isPaused) add(waiting.current.splice(0));
  }, [isPaused]);
  useEffect(() => {
    const base = socket ?? `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
    const client = createClient({
      url: `${base}/${encodeURIComponent(app)}`,
      token: () => api.token(app).then(({ token }) => token),
      // Nothing of the console stays in the browser.
      store: memory(),
    });
    const channel = client.channel(name, { since: { last: LAST } });
    const arrived: Message[] = [];
    let frame = 0;
    channel.on('message', (message) => {
      arrived.push(message);
      // Many at once are one change of the page.
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        const messages = arrived.splice(0);
        if (!paused.current) return add(messages);
        waiting.current = [...waiting.current, ...messages].slice(-MOST);
      });
    });
    channel.on('error', (error) => setTail((old) => ({ ...old, trouble: error.message })));
    client.on('state', () => setTail((old) => ({ ...old, connection: client.connection.current })));
    return () => {
      cancelAnimationFrame(frame);
      void client.close();
    };
  }, [app, name, socket]);
  return tail;
}

export function ChannelPage({ app, name, who }: { app: string; name: string; who: Who }) {
  const [isPaused, setPaused] = useState(false);
  const tail = useTail(app, name, who.socket, isPaused);
  const seen = useAsked(() => api.channels(app, name, undefined, 1), [app, name], 2_000);
  const info = seen.value?.channels.find(({ channel }) => channel === name);
  const { state } = tail.connection;
  return (
    <>
      <header className="head">
        <div>
          <p className="crumb"><a href={to('channels', app)}>Channels</a> <span aria-hidden="true">/</span> {app}</p>
          <h1 className="mono">{name}</h1>
          <p className="faint">
            {info
              ? `head ${count(info.head)} · ${count(info.messages)} kept · ${bytes(info.bytes)} · ${count(info.subscribers)} subscribed`
              : 'Nothing was published here yet.'}
          </p>
        </div>
        <div className="fields">
          <p className="state" data-state={state} role="status">{state === online ? (isPaused ? 'paused' : 'live') : state}</p>
          <button aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>{isPaused ? 'Go on' : 'Pause'}</button>
        </div>
      </header>
      {tail.trouble && <p className="notice" role="alert">{tail.trouble}</p>}
      <div className="split">
        <section className="card tail" aria-labelledby="messages">
          <header><h2 id="messages">Messages</h2></header>
          <Messages messages={tail.messages} />
          {who.read_only ? <p className="empty">This key may only look.</p> : <Publish app={app} channel={name} />}
        </section>
        <Present app={app} channel={name} />
      </div>
    </>
  );
}

function Messages({ messages }: { messages: readonly Message[] }) {
  const list = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    if (isAtEnd.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [messages]);
  return (
    <div
      className="messages"
      role="log"
      aria-label="Messages"
      tabIndex={0}
      ref={list}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => (isAtEnd.current = scrollHeight - scrollTop - clientHeight < 24)}
    >
      {messages.length === 0 && <p className="empty">Messages appear here as they are published.</p>}
      <ol>
        {messages.map((message) => <Entry key={`${message.epoch}/${message.offset ?? `live/${message.id}`}`} message={message} />)}
      </ol>
    </div>
  );
}

function Entry({ message }: { message: Message }) {
  const text = useMemo(() => payload(message), [message]);
  const headers = Object.entries(message.headers);
  return (
    <li className="entry">
      <details>
        <summary>
          <time dateTime={new Date(message.time).toISOString()}>{clock(message.time)}</time>
          <span className="offset">{message.offset === undefined ? 'live' : `#${message.offset}`}</span>
          <span className="user">{message.user ?? '–'}</span>
          <code>{text.slice(0, 300)}</code>
        </summary>
        <dl>
          <dt>Id</dt><dd className="mono">{message.id}</dd>
          <dt>Stored</dt><dd>{moment(message.time)}</dd>
          <dt>Epoch</dt><dd className="mono">{message.epoch}</dd>
          {headers.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}=`} className="mono">{value}</dd>])}
        </dl>
        <pre tabIndex={0}>{pretty(message, text)}</pre>
      </details>
    </li>
  );
}

function payload(message: Message): string {
  if (message.text !== undefined) return message.text;
  if (message.bytes) return `${bytes(message.bytes.length)}: ${Array.from(message.bytes.subarray(0, 64), (one) => one.toString(16).padStart(2, '0')).join(' ')}`;
  return JSON.stringify(message.data);
}

const pretty = (message: Message, text: string): string => (message.text === undefined && !message.bytes ? JSON.stringify(message.data, null, 2) : text);

function Publish({ app, channel }: { app: string; channel: string }) {
  const [text, setText] = useState('');
  const [isLive, setLive] = useState(false);
  const [said, setSaid] = useState<{ text: string; isWrong: boolean }>();
  const publish = async (): Promise<void> => {
    let content: object;
    try {
      content = { data: JSON.parse(text) as unknown };
    } catch {
      content = { text };
    }
    try {
      const { offset } = await api.publish(app, { channel, ...content, qos: isLive ? 0 : 1 });
      setSaid({ text: offset === undefined ? 'Handed to who is subscribed now.' : `Stored at offset ${offset}.`, isWrong: false });
      setText('');
    } catch (error) {
      setSaid({ text: saying(error), isWrong: true });
    }
  };
  return (
    <form
      className="publish"
      onSubmit={(event) => {
        event.preventDefault();
        if (text) void publish();
      }}
    >
      <label htmlFor="payload" className="sr">Message</label>
      <textarea
        id="payload"
        rows={2}
        value={text}
        spellCheck={false}
        placeholder={'JSON, or else a text'}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit();
        }}
      />
      <div className="fields">
        <label className="check"><input type="checkbox" checked={isLive} onChange={(event) => setLive(event.target.checked)} /> Do not store (QoS 0)</label>
        <p className={said?.isWrong ? 'wrong' : 'faint'} role="status">{said?.text ?? ''}</p>
        <button className="primary" disabled={!text}>Publish</button>
      </div>
    </form>
  );
}

function Present({ app, channel }: { app: string; channel: string }) {
  const { value, error } = useAsked(() => api.presence(app, channel), [app, channel], 2_000);
  const now = Date.now();
  return (
    <section className="card present" aria-labelledby="present">
      <header><h2 id="present">Present</h2><span className="badge">{count(value?.count ?? 0)}</span></header>
      {error && <p className="empty wrong">{error}</p>}
      {value?.count === 0 && <p className="empty">Nobody has joined.</p>}
      <ul className="people" aria-label="Who is present">
        {value?.members.map((member) => (
          <li key={member.user}>
            <a href={to('connections', app, member.user)}>{member.user}</a>
            <span className="faint" title={moment(member.since)}>{span(now - member.since)}</span>
            {member.state !== undefined && <code>{JSON.stringify(member.state)}</code>}
          </li>
        ))}
      </ul>
      {value?.cursor !== undefined && <p className="empty">And {count(value.count - value.members.length)} more.</p>}
    </section>
  );
}
