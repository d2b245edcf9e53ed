import { useRef, useState } from 'react';
import { api, saying, type ConnectionSeen, type Who } from './api';
import { AppChoice } from './appchoice';
import { count, moment } from './format';
import { to, useAsked, useSettled } from './use';

export function ConnectionsPage({ app, user, who }: { app: string | undefined; user: string | undefined; who: Who }) {
  const [prefix, setPrefix] = useState('');
  const [said, setSaid] = useState<string>();
  const settled = useSettled(prefix);
  const none = { connections: [] as readonly ConnectionSeen[], total: 0 };
  const ask = () => (!app ? Promise.resolve(none) : user ? api.connectionsOf(app, user) : api.connections(app, settled));
  const { value, error, again } = useAsked(ask, [app, user, settled], 2_000);
  const disconnect = async (name: string): Promise<void> => {
    try {
      const { connections } = await api.disconnect(app!, name);
      setSaid(`${connections === 1 ? '1 connection' : `${connections} connections`} of ${name} ended.`);
    } catch (refused) {
      setSaid(saying(refused));
    }
    again();
  };
  return (
    <>
      <header className="head">
        {user ? (
          <div>
            <p className="crumb"><a href={to('connections', app!)}>Connections</a> <span aria-hidden="true">/</span> {app}</p>
            <h1>{user}</h1>
          </div>
        ) : (
          <h1>Connections</h1>
        )}
        {user ? (
          !who.read_only && <Disconnect user={user} isNobody={value?.total === 0} onSure={() => void disconnect(user)} />
        ) : (
          <form className="fields" role="search" onSubmit={(event) => event.preventDefault()}>
            <AppChoice app={app} onApp={(one) => location.replace(to('connections', one))} />
            <label className="field grow">
              <span>User begins with</span>
              <input type="search" value={prefix} placeholder="all users" spellCheck={false} onChange={(event) => setPrefix(event.target.value)} />
            </label>
          </form>
        )}
      </header>
      <p role="status" className={said ? 'notice calm' : 'sr'}>{said ?? ''}</p>
      {error && <p className="notice" role="alert">{error}</p>}
      <section className="card">
        {value?.total === 0 && <p className="empty">{user ? `${user} has no connection.` : 'There is no connection.'}</p>}
        {value && value.total > 0 && <Table app={app!} user={user} connections={value.connections} />}
        {value && value.total > value.connections.length && (
          <p className="empty">These are {count(value.connections.length)} of {count(value.total)}. Say how the names begin to see others.</p>
        )}
      </section>
    </>
  );
}

function Table({ app, user, connections }: { app: string; user: string | undefined; connections: readonly ConnectionSeen[] }) {
  return (
    <table className="rows">
      <thead>
        <tr>
          {!user && <th scope="col">User</th>}
          <th scope="col">Device</th>
          <th scope="col">Address</th>
          <th scope="col">Channels</th>
          <th scope="col" className="number">Behind</th>
          <th scope="col">State</th>
          <th scope="col">Token until</th>
        </tr>
      </thead>
      <tbody>
        {connections.map((one, at) => (
          <tr key={`${one.user ?? ''}/${one.device ?? ''}/${one.address ?? at}`}>
            {!user && (
              <th scope="row">{one.user === undefined ? <span className="faint">anonymous</span> : <a href={to('connections', app, one.user)}>{one.user}</a>}</th>
            )}
            <td className="mono" data-label="Device">{one.device ?? '–'}</td>
            <td className="mono" data-label="Address">{one.address ?? '–'}</td>
            <td data-label="Channels" title={one.channels.join('\n')}><Channels app={app} one={one} isAll={user !== undefined} /></td>
            <td className="number" data-label="Behind">{count(one.behind)}</td>
            <td data-label="State">{one.background ? 'background' : 'foreground'}</td>
            <td data-label="Token until">{one.expires === undefined ? '–' : moment(one.expires)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Channels({ app, one, isAll }: { app: string; one: ConnectionSeen; isAll: boolean }) {
  const shown = isAll ? one.channels : one.channels.slice(0, 2);
  const others = one.subscriptions - shown.length;
  if (one.subscriptions === 0) return <span className="faint">none</span>;
  return (
    <span className="chips">
      {shown.map((channel) => <a className="chip" key={channel} href={to('channels', app, channel)}>{channel}</a>)}
      {others > 0 && <span className="faint">+{count(others)}</span>}
    </span>
  );
}

/** Asks before it does it. */
function Disconnect({ user, isNobody, onSure }: { user: string; isNobody: boolean; onSure: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <>
      <button className="danger" disabled={isNobody} onClick={() => dialog.current?.showModal()}>Disconnect</button>
      <dialog ref={dialog} aria-labelledby="sure">
        <form
          method="dialog"
          onSubmit={(event) => {
            if ((event.nativeEvent as SubmitEvent).submitter?.getAttribute('value') === 'yes') onSure();
          }}
        >
          <h2 id="sure">Disconnect {user}?</h2>
          <p>All of this user’s connections end now. Clients fetch a new token and come back, if they are given one.</p>
          <div className="fields">
            <button value="no">Cancel</button>
            <button value="yes" className="danger">Disconnect</button>
          </div>
        </form>
      </dialog>
    </>
  );
}
