import { useState } from 'react';
import { api, type ChannelSeen } from './api';
import { AppChoice } from './appchoice';
import { bytes, count } from './format';
import { to, useAsked, useSettled } from './use';

const PAGE = 100;

export function ChannelsPage({ app }: { app: string | undefined }) {
  const [prefix, setPrefix] = useState('');
  const [limit, setLimit] = useState(PAGE);
  const settled = useSettled(prefix);
  const none = { channels: [] as readonly ChannelSeen[], more: false };
  const { value, error } = useAsked(() => (app ? api.channels(app, settled, undefined, limit) : Promise.resolve(none)), [app, settled, limit], 2_000);
  return (
    <>
      <header className="head">
        <h1>Channels</h1>
        <form className="fields" role="search" onSubmit={(event) => event.preventDefault()}>
          <AppChoice app={app} onApp={(one) => location.replace(to('channels', one))} />
          <label className="field grow">
            <span>Begins with</span>
            <input type="search" value={prefix} placeholder="all channels" spellCheck={false} onChange={(event) => setPrefix(event.target.value)} />
          </label>
        </form>
      </header>
      {error && <p className="notice" role="alert">{error}</p>}
      <section className="card">
        {value && value.channels.length === 0 && (
          <p className="empty">{settled ? `No channel begins with “${settled}”.` : 'Nobody has published or subscribed yet.'}</p>
        )}
        {value && value.channels.length > 0 && (
          <table className="rows">
            <thead>
              <tr>
                <th scope="col">Channel</th>
                <th scope="col" className="number">Head</th>
                <th scope="col" className="number">Messages</th>
                <th scope="col" className="number">Size</th>
                <th scope="col" className="number">Subscribers</th>
                <th scope="col" className="number">Present</th>
              </tr>
            </thead>
            <tbody>
              {value.channels.map((one) => (
                <tr key={one.channel}>
                  <th scope="row"><a href={to('channels', app!, one.channel)}>{one.channel}</a></th>
                  <td className="number" data-label="Head">{count(one.head)}</td>
                  <td className="number" data-label="Messages">{count(one.messages)}</td>
                  <td className="number" data-label="Size">{bytes(one.bytes)}</td>
                  <td className="number" data-label="Subscribers">{count(one.subscribers)}</td>
                  <td className="number" data-label="Present">{count(one.members)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
        {value?.more && limit < 1_000 && (
          <footer><button onClick={() => setLimit(Math.min(1_000, limit * 2))}>Show more</button></footer>
        )}
        {value?.more && limit >= 1_000 && <p className="empty">These are the first 1,000. Say how the names begin to see others.</p>}
      </section>
    </>
  );
}
