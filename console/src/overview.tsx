import { useEffect, useRef, useState } from 'react';
import { api, saying, type AppNow, type Overview, type Row } from './api';
import { bytes, count, ms, rate, span } from './format';
import { Plot, type Point } from './plot';
import { to } from './use';

/** 15 minutes of samples, as the server keeps them. */
const MOST = 900;
const SPANS = [1, 5, 15] as const;

/** What the server is like, asked every second. */
function useOverview(): { seen?: Overview; rows: readonly Row[]; error?: string } {
  const [state, setState] = useState<{ seen?: Overview; rows: readonly Row[]; error?: string }>({ rows: [] });
  const rows = useRef<readonly Row[]>([]);
  const since = useRef(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let isOver = false;
    const run = async (): Promise<void> => {
      try {
        if (!document.hidden) {
          const seen = await api.overview(rows.current.at(-1)?.[0] ?? 0);
          // A server that was started anew has another past.
          const before = seen.since === since.current ? rows.current : [];
          since.current = seen.since;
          rows.current = [...before, ...seen.rows].slice(-MOST);
          if (!isOver) setState({ seen, rows: rows.current });
        }
      } catch (error) {
        if (!isOver) setState((old) => ({ ...old, error: saying(error) }));
      }
      if (!isOver) timer = setTimeout(() => void run(), 1_000);
    };
    void run();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, []);
  return state;
}

const PLOTS: readonly {
  column: string;
  title: string;
  about: string;
  format: (value: number) => string;
  least?: number;
  unit?: number;
  tone?: 'warn';
}[] = [
  { column: 'connections', title: 'Connections', about: 'Open WebSockets', format: count, least: 4 },
  { column: 'online', title: 'Users online', about: 'Users with a connection', format: count, least: 4 },
  { column: 'published', title: 'Publishes / s', about: 'Messages stored per second', format: rate },
  { column: 'delivered', title: 'Deliveries / s', about: 'Messages handed to connections per second', format: rate },
  { column: 'behind', title: 'Backlog', about: 'Subscriptions that read the log: catching up, slow or paused', format: count, least: 4, tone: 'warn' },
  { column: 'sync_p99', title: 'fsync p99', about: '99th percentile of fdatasync', format: ms, least: 1 },
  { column: 'memory', title: 'Memory', about: 'Resident memory of the server', format: bytes, least: 40 * 1024 * 1024, unit: 1024 * 1024 },
  { column: 'requests', title: 'HTTP requests / s', about: 'Requests of the HTTP API and of this page per second', format: rate },
  { column: 'refused', title: 'Refusals / s', about: 'Errors told to WebSocket clients per second', format: rate, tone: 'warn' },
];

export function OverviewPage() {
  const { seen, rows, error } = useOverview();
  const [minutes, setMinutes] = useState<number>(5);
  const [at, setAt] = useState<number>();
  const until = rows.at(-1)?.[0] ?? Date.now();
  // What a server that started a moment ago was like fills the plot; a minute is the least.
  const from = Math.max(until - minutes * 60_000, Math.min(rows[0]?.[0] ?? until, until - 60_000));
  const points = (column: string): Point[] => {
    const index = seen?.columns.indexOf(column) ?? -1;
    return rows.map((row) => [row[0] ?? 0, row[index] ?? null]);
  };
  return (
    <>
      <header className="head">
        <div>
          <h1>Overview</h1>
          <p className="faint">
            {seen ? `Version ${seen.version} · up ${span(seen.now - seen.since)} · durability ${seen.durability}` : 'Asking the server…'}
          </p>
        </div>
        <fieldset className="segments">
          <legend className="sr">Time shown</legend>
          {SPANS.map((one) => (
            <label key={one}>
              <input type="radio" name="span" checked={minutes === one} onChange={() => setMinutes(one)} />
              <span>{one} min</span>
            </label>
          ))}
        </fieldset>
      </header>
      {error && <p className="notice" role="alert">{error}</p>}
      <div className="plots" data-testid="plots">
        {PLOTS.map(({ column, ...plot }) => (
          <Plot key={column} {...plot} points={points(column)} from={from} until={until} at={at} onAt={setAt} />
        ))}
      </div>
      <Apps apps={seen?.apps ?? []} />
    </>
  );
}

function Apps({ apps }: { apps: readonly AppNow[] }) {
  return (
    <section className="card" aria-labelledby="apps">
      <header><h2 id="apps">Apps</h2></header>
      {apps.length === 0 ? (
        <p className="empty">No app has had a connection or a message since the server started.</p>
      ) : (
        <table className="rows">
          <thead>
            <tr>
              <th scope="col">App</th>
              <th scope="col" className="number">Connections</th>
              <th scope="col" className="number">Users</th>
              <th scope="col" className="number">Publishes / s</th>
              <th scope="col" className="number">Deliveries / s</th>
              <th scope="col" className="number">Backlog</th>
              <th scope="col" className="number">Stored</th>
            </tr>
          </thead>
          <tbody>
            {apps.map((app) => (
              <tr key={app.app}>
                <th scope="row"><a href={to('channels', app.app)}>{app.app}</a></th>
                <td className="number" data-label="Connections">{count(app.connections)}</td>
                <td className="number" data-label="Users">{count(app.online)}</td>
                <td className="number" data-label="Publishes / s">{rate(app.published)}</td>
                <td className="number" data-label="Deliveries / s">{rate(app.delivered)}</td>
                <td className="number" data-label="Backlog">{count(app.behind)}</td>
                <td className="number" data-label="Stored">{count(app.published_total)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
