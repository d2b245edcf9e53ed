import { api, type App } from './api';
import { moment, span } from './format';
import { to, useAsked } from './use';

export function AppsPage() {
  const { value, error } = useAsked(api.apps, [], 10_000);
  return (
    <>
      <header className="head">
        <div>
          <h1>Keys</h1>
          <p className="faint">The server keeps hashes of API keys only. A hash’s beginning tells keys apart.</p>
        </div>
      </header>
      {value?.any && <p className="notice calm">Development mode: every name is an app, the API key is <code>dev</code>, and everybody may connect.</p>}
      {error && <p className="notice" role="alert">{error}</p>}
      {value?.apps.length === 0 && <p className="empty card">The configuration names no app.</p>}
      {value?.apps.map((app) => <AppCard key={app.app} app={app} />)}
    </>
  );
}

function AppCard({ app }: { app: App }) {
  const id = `app-${app.app}`;
  return (
    <section className="card" aria-labelledby={id}>
      <header>
        <h2 id={id}>{app.app}</h2>
        {app.anonymous && <span className="badge">anonymous connections</span>}
        <a className="end" href={to('channels', app.app)}>Channels</a>
      </header>
      {app.api_keys.length + app.token_keys.length === 0 ? (
        <p className="empty">No key is configured.</p>
      ) : (
        <table className="rows">
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">For</th>
              <th scope="col">Told apart by</th>
              <th scope="col">Good until</th>
            </tr>
          </thead>
          <tbody>
            {app.api_keys.map((key) => (
              <tr key={key.hash}>
                <th scope="row">{key.name}</th>
                <td data-label="For">HTTP API</td>
                <td className="mono" data-label="Hash">sha256:{key.hash}…</td>
                <td data-label="Good until"><Expiry at={key.expires} isOver={key.expired} /></td>
              </tr>
            ))}
            {app.token_keys.map((key, at) => (
              <tr key={at}>
                <th scope="row">{key.id ?? <span className="faint">without kid</span>}</th>
                <td data-label="For">tokens of clients</td>
                <td className="mono" data-label="Algorithm">{key.algorithm}</td>
                <td data-label="Good until"><Expiry at={undefined} isOver={false} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Expiry({ at, isOver }: { at: number | undefined; isOver: boolean }) {
  if (at === undefined) return <span className="faint">it is removed</span>;
  if (isOver) return <span className="wrong">expired {moment(at)}</span>;
  return <>{moment(at)} <span className="faint">in {span(at - Date.now())}</span></>;
}
