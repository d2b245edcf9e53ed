import { useEffect, useState } from 'react';
import { api } from './api';

/** Chooses an app among those that there are. In development mode every name is one. */
export function AppChoice({ app, onApp }: { app: string | undefined; onApp: (app: string) => void }) {
  const [apps, setApps] = useState<readonly string[]>([]);
  useEffect(() => {
    api.apps().then(
      ({ apps }) => setApps(apps.map(({ app }) => app)),
      () => setApps([]),
    );
  }, []);
  const first = apps[0];
  useEffect(() => {
    if (!app && first) onApp(first);
  }, [app, first]);
  const all = app && !apps.includes(app) ? [app, ...apps] : apps;
  return (
    <label className="field">
      <span>App</span>
      <select value={app ?? ''} onChange={(event) => onApp(event.target.value)}>
        {all.map((one) => <option key={one}>{one}</option>)}
      </select>
    </label>
  );
}
