import { api, type LogSeen } from './api';
import { bytes, count, moment, ms, span } from './format';
import { useAsked } from './use';

export function LogPage() {
  const { value, error } = useAsked(api.log, [], 5_000);
  return (
    <>
      <header className="head">
        <div>
          <h1>Log</h1>
          <p className="faint">{value?.disk?.directory ?? 'Where messages are kept.'}</p>
        </div>
      </header>
      {error && <p className="notice" role="alert">{error}</p>}
      {value && <Health log={value} />}
    </>
  );
}

const DURABILITY: Readonly<Record<string, string>> = {
  disk: 'A publish is answered after fdatasync: it survives a power cut.',
  process: 'A publish is answered after a write: it survives a killed process, not a power cut.',
  memory: 'Messages are in memory: nothing survives a restart.',
};

function Health({ log }: { log: LogSeen }) {
  const { disk, sync } = log;
  const used = disk ? disk.size - disk.free : 0;
  const part = disk ? used / disk.size : 0;
  return (
    <div className="health">
      {disk && (
        <section className="card" aria-labelledby="disk">
          <header><h2 id="disk">Disk</h2></header>
          <div className="body">
            <p className="value">{bytes(disk.free)} <span className="faint">free of {bytes(disk.size)}</span></p>
            <meter aria-label="Part of the disk that is used" min={0} max={1} low={0.8} high={0.9} optimum={0} value={part}>{Math.round(part * 100)} %</meter>
            <Facts facts={[
              ['The log takes', bytes(disk.bytes)],
              ['Segments', `${count(disk.segments)} · ${bytes(disk.segment_bytes)}`],
              ['Tables', count(disk.tables)],
            ]} />
          </div>
        </section>
      )}
      <section className="card" aria-labelledby="sync">
        <header><h2 id="sync">fsync</h2></header>
        <div className="body">
          <p className="value">{sync.p99 === undefined ? '–' : ms(sync.p99)} <span className="faint">99th percentile since the start</span></p>
          <Facts facts={[
            ['Median', sync.p50 === undefined ? '–' : ms(sync.p50)],
            ['Slowest', sync.most === undefined ? '–' : ms(sync.most)],
            ['Syncs', count(sync.count)],
          ]} />
        </div>
      </section>
      <section className="card" aria-labelledby="kept">
        <header><h2 id="kept">Kept</h2></header>
        <div className="body">
          <p className="value">{log.oldest === undefined ? '–' : span(Date.now() - log.oldest)} <span className="faint">is the oldest message’s age</span></p>
          <Facts facts={[
            ['Oldest message', log.oldest === undefined ? 'there is none' : moment(log.oldest)],
            ['Channels', count(log.channels)],
            ['Cursors in memory', count(log.cursors)],
            ['Producers in memory', count(log.producers)],
          ]} />
        </div>
      </section>
      <p className="faint">Durability <code>{log.durability}</code>. {DURABILITY[log.durability]}</p>
    </div>
  );
}

const Facts = ({ facts }: { facts: readonly (readonly [string, string])[] }) => (
  <dl className="facts">
    {facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
  </dl>
);
