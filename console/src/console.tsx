import { useEffect, useState } from 'react';
import { api, session, type Who } from './api';
import { AppsPage } from './apps';
import { ChannelPage } from './channel';
import { ChannelsPage } from './channels';
import { ConnectionsPage } from './connections';
import { Icon, type IconName, Mark } from './icons';
import { LogPage } from './log';
import { Login } from './login';
import { OverviewPage } from './overview';
import { to, useRoute } from './use';

const PAGES: readonly { name: IconName; title: string }[] = [
  { name: 'overview', title: 'Overview' },
  { name: 'channels', title: 'Channels' },
  { name: 'connections', title: 'Connections' },
  { name: 'apps', title: 'Keys' },
  { name: 'log', title: 'Log' },
];

/** Everything: the log-in, or who is logged in. */
export function Console() {
  const [who, setWho] = useState<Who | 'asking' | undefined>('asking');
  const [note, setNote] = useState<string>();
  useEffect(() => {
    // A link with a key comes first: what it opens is newer.
    if (location.hash.startsWith('#key=')) setWho(undefined);
    else api.who().then(setWho, () => setWho(undefined));
    const over = (): void => {
      setNote('The session has ended.');
      setWho(undefined);
    };
    session.addEventListener('over', over);
    return () => session.removeEventListener('over', over);
  }, []);
  if (who === 'asking') return null;
  if (!who) return <Login note={note} onWho={setWho} />;
  const leave = (): void => {
    void api.logout().finally(() => {
      setNote('You are logged out.');
      setWho(undefined);
    });
  };
  return <Frame who={who} onLeave={leave} />;
}

function Frame({ who, onLeave }: { who: Who; onLeave: () => void }) {
  const route = useRoute();
  const [page = 'overview', app, channel] = route;
  const open = PAGES.find(({ name }) => name === page)?.name ?? 'overview';
  useEffect(() => {
    document.title = `${PAGES.find(({ name }) => name === open)!.title} · Moorline console`;
  }, [open]);
  return (
    <div className="frame">
      <a className="skip" href="#content" onClick={(event) => (event.preventDefault(), document.getElementById('content')?.focus())}>
        Skip to the content
      </a>
      <nav className="side" aria-label="Console">
        <p className="brand"><Mark /> <span>Moorline</span></p>
        <ul>
          {PAGES.map(({ name, title }) => (
            <li key={name}>
              <a href={to(name)} aria-current={open === name ? 'page' : undefined}><Icon name={name} /><span>{title}</span></a>
            </li>
          ))}
        </ul>
        <div className="who">
          <p title={`The session ends ${new Date(who.expires).toLocaleString()}`}>
            <span className="name">{who.name}</span>
            <span className="faint">{who.read_only ? 'may look' : 'may change'}</span>
          </p>
          <button className="quiet" onClick={onLeave}><Icon name="out" /><span>Log out</span></button>
        </div>
      </nav>
      <main id="content" tabIndex={-1} key={`${open}/${app ?? ''}/${channel ?? ''}`}>
        {open === 'overview' && <OverviewPage />}
        {open === 'channels' && (app && channel ? <ChannelPage app={app} name={channel} who={who} /> : <ChannelsPage app={app} />)}
        {open === 'connections' && <ConnectionsPage app={app} user={channel} who={who} />}
        {open === 'apps' && <AppsPage />}
        {open === 'log' && <LogPage />}
      </main>
    </div>
  );
}
