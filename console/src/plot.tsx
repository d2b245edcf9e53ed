import { useEffect, useId, useRef, useState } from 'react';
import { clock } from './format';

/** A value at a moment; null where there is none. */
export type Point = readonly [at: number, value: number | null];

export interface PlotProps {
  readonly title: string;
  /** What is measured, in a few words. */
  readonly about: string;
  readonly points: readonly Point[];
  /** The moments that the plot shows, ms since 1970. */
  readonly from: number;
  readonly until: number;
  readonly format: (value: number) => string;
  /** The moment that the pointer is at, in any of the plots. */
  readonly at: number | undefined;
  readonly onAt: (at: number | undefined) => void;
  /** The least that the axis reaches to. */
  readonly least?: number;
  /** The axis ends at a nice number of these. */
  readonly unit?: number;
  readonly tone?: 'calm' | 'warn';
}

const HEIGHT = 84;
const TOP = 6;

/** A number that is nice to read, not below `n`. */
function ceiling(n: number): number {
  const power = 10 ** Math.floor(Math.log10(n));
  return power * ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= n) ?? 10);
}

function useWidth(): [React.RefObject<HTMLDivElement | null>, number] {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(300);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.max(40, Math.floor(entry.contentRect.width))));
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** One number over time, with what it is now. */
export function Plot({ title, about, points, from, until, format, at, onAt, least = 1, unit = 1, tone = 'calm' }: PlotProps) {
  const [ref, width] = useWidth();
  const id = useId();
  const shown = points.filter(([time]) => time >= from);
  const values = shown.flatMap(([, value]) => (value === null ? [] : [value]));
  const top = ceiling(Math.max(least, ...values) / unit) * unit;
  const x = (time: number): number => Math.round(((time - from) / (until - from)) * width * 10) / 10;
  const y = (value: number): number => Math.round((HEIGHT - (value / top) * (HEIGHT - TOP)) * 10) / 10;
  const { line, area } = paths(shown, x, y);
  const found = at === undefined ? undefined : nearest(shown, at);
  const last = shown.at(-1);
  const current = found ?? last;
  const value = current?.[1];
  const most = values.length ? format(Math.max(...values)) : 'nothing';
  return (
    <section className="plot" data-tone={tone} aria-labelledby={id}>
      <header>
        <h3 id={id} title={about}>{title}</h3>
        <span className="when">{found ? clock(found[0]) : ''}</span>
      </header>
      <p className="value">{value == null ? '–' : format(value)}</p>
      <div
        ref={ref}
        className="canvas"
        onPointerMove={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          onAt(from + ((event.clientX - box.left) / box.width) * (until - from));
        }}
        onPointerLeave={() => onAt(undefined)}
      >
        <svg width={width} height={HEIGHT + 1} role="img" aria-label={`${about}: now ${last?.[1] == null ? 'nothing' : format(last[1])}, most ${most}`}>
          <line className="grid" x1="0" x2={width} y1={y(top)} y2={y(top)} />
          <line className="grid" x1="0" x2={width} y1={y(top / 2)} y2={y(top / 2)} />
          <path className="area" d={area} />
          <path className="line" d={line} />
          <line className="base" x1="0" x2={width} y1={HEIGHT + 0.5} y2={HEIGHT + 0.5} />
          {found && <line className="cross" x1={x(found[0])} x2={x(found[0])} y1={TOP} y2={HEIGHT} />}
          {found && found[1] !== null && <circle className="dot" cx={x(found[0])} cy={y(found[1])} r="3" />}
        </svg>
        <span className="top" aria-hidden="true">{format(top)}</span>
      </div>
    </section>
  );
}

/** The line through what there is, and the area below it. */
function paths(points: readonly Point[], x: (time: number) => number, y: (value: number) => number): { line: string; area: string } {
  let [line, area] = ['', ''];
  let first: number | undefined;
  const close = (before: Point | undefined): void => {
    if (first !== undefined && before) area += `L${x(before[0])} ${HEIGHT}L${first} ${HEIGHT}Z`;
    first = undefined;
  };
  let before: Point | undefined;
  for (const point of points) {
    const [time, value] = point;
    // More than 5 s without a sample: the server was not there, or too busy to say.
    if (value === null || (before && time - before[0] > 5_000)) close(before);
    if (value === null) {
      before = undefined;
      continue;
    }
    const to = `${x(time)} ${y(value)}`;
    if (first === undefined) {
      first = x(time);
      // A value alone is a point that can be seen.
      line += `M${to}h0.01`;
      area += `M${to}`;
    } else {
      line += `L${to}`;
      area += `L${to}`;
    }
    before = point;
  }
  close(before);
  return { line, area };
}

function nearest(points: readonly Point[], at: number): Point | undefined {
  let best: Point | undefined;
  for (const point of points) if (!best || Math.abs(point[0] - at) < Math.abs(best[0] - at)) best = point;
  return best;
}
