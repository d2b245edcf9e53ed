const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** A count; from 100,000 on in short. */
export const count = (n: number): string => (n >= 100_000 ? compact.format(n) : whole.format(n));

/** A rate per second. */
export const rate = (n: number): string => (n > 0 && n < 10 ? n.toFixed(1) : count(n));

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (n >= 1024 && at < units.length - 1) [n, at] = [n / 1024, at + 1];
  return `${at === 0 || n >= 100 ? whole.format(n) : n.toFixed(1)} ${units[at]}`;
}

/** A time in ms. */
export const ms = (n: number): string => (n >= 1_000 ? `${(n / 1_000).toFixed(1)} s` : n >= 10 ? `${whole.format(n)} ms` : n >= 1 ? `${n.toFixed(1)} ms` : `${n.toFixed(2)} ms`);

/** How long something takes or took, roughly; of `n` ms. */
export function span(n: number): string {
  const s = Math.max(0, Math.round(n / 1_000));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`;
}

const two = (n: number): string => String(n).padStart(2, '0');

/** A time of the day. */
export function clock(at: number): string {
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A day, and its time. */
export function moment(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at)}`;
}
