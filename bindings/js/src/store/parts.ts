import type { StoreBatch } from '../host/host.js';

/** A part of a batch, in a log; values as base64. */
export interface Part {
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly isClear: boolean;
  readonly deletes: readonly string[];
  readonly puts: readonly (readonly [key: string, value: string])[];
}

/** Splits a batch into parts that are about this long at most. One value makes a part that is as long as it must be. */
export function partsOf(batch: StoreBatch, encode: (bytes: Uint8Array) => string, most: number): Part[] {
  const pieces: { deletes: string[]; puts: [string, string][]; length: number }[] = [{ deletes: [], puts: [], length: 0 }];
  const room = (length: number): (typeof pieces)[number] => {
    let last = pieces[pieces.length - 1]!;
    if (last.length > 0 && last.length + length > most) pieces.push((last = { deletes: [], puts: [], length: 0 }));
    last.length += length;
    return last;
  };
  for (const key of batch.deletes) room(key.length + 8).deletes.push(key);
  for (const [key, value] of batch.puts) {
    const text = encode(value);
    room(key.length + text.length + 8).puts.push([key, text]);
  }
  return pieces.map(({ deletes, puts }, i) => ({ isFirst: i === 0, isLast: i === pieces.length - 1, isClear: i === 0 && batch.clear, deletes, puts }));
}

/** A part as a line. */
export function textOf({ isFirst, isLast, isClear, deletes, puts }: Part): string {
  return `${JSON.stringify([(isFirst ? 1 : 0) | (isLast ? 2 : 0) | (isClear ? 4 : 0), deletes, puts])}\n`;
}

/** The parts of a shard. */
export function partsIn(text: string): Part[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [flags, deletes, puts] = JSON.parse(line) as [number, string[], [string, string][]];
    return { isFirst: (flags & 1) !== 0, isLast: (flags & 2) !== 0, isClear: (flags & 4) !== 0, deletes, puts };
  });
}
