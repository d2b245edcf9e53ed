/** A batch with values of some kind. */
export interface BatchOf<T> {
  readonly clear: boolean;
  readonly deletes: readonly string[];
  readonly puts: readonly (readonly [key: string, value: T])[];
}

/** A part of a batch, in a log; values as base64. */
export interface Part {
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly isClear: boolean;
  readonly deletes: readonly string[];
  readonly puts: readonly (readonly [key: string, value: string])[];
}

/** Splits a batch into parts that are about this long at most. One value makes a part that is as long as it must be. */
export function partsOf<T>(batch: BatchOf<T>, encode: (value: T) => string, most: number): Part[] {
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

/**
 * The parts of a shard up to the first line that is none, and the text that they are. `isCut`: something is lost before it; what follows
 * of a batch that began there is left out, too.
 */
export function partsIn(shard: string, isCut: boolean): { readonly parts: readonly Part[]; readonly text: string; readonly isCut: boolean } {
  const parts: Part[] = [];
  let text = '';
  for (const line of shard.split('\n')) {
    if (line === '') continue;
    const part = partIn(line);
    if (!part) return { parts, text, isCut: true };
    if (isCut && !part.isFirst) continue;
    isCut = false;
    parts.push(part);
    text += `${line}\n`;
  }
  return { parts, text, isCut };
}

function partIn(line: string): Part | undefined {
  try {
    const [flags, deletes, puts] = JSON.parse(line) as [number, string[], [string, string][]];
    if (!Array.isArray(deletes) || !Array.isArray(puts)) return undefined;
    return { isFirst: (flags & 1) !== 0, isLast: (flags & 2) !== 0, isClear: (flags & 4) !== 0, deletes, puts };
  } catch {
    return undefined;
  }
}
