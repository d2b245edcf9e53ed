import { instantiate } from '../host/instantiate.js';
import { type Bytes, CODE, INSTRUCTIONS, SECTIONS, STREAMS, body, number } from './streams.js';
import type { Instantiated } from './wasm.js';

/** A module as scripts/inline.mjs writes it: its streams one after another. */
export interface Inlined {
  /** For each stream, which bytes are one character: a bit each, lowest first, four to a hex digit. */
  readonly frequent: readonly string[];
  /** For each stream, how many bytes it has. */
  readonly lengths: readonly number[];
  /** The streams. */
  readonly text: string;
}

/** Starts a module that is carried along as a text. */
export function instantiateInline(inlined: Inlined): Promise<Instantiated> {
  return instantiate(together(decode(inlined)));
}

/** What may be in the text: the last two stand before another one. */
const characters = '!"#%&()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~';

/** Reads the streams. */
export function decode({ frequent, lengths, text }: Inlined): Uint8Array[] {
  const ranks = new Uint8Array(128);
  for (let i = 0; i < characters.length; i++) ranks[characters.charCodeAt(i)] = i;
  const singles = characters.length - 2;
  let i = 0;
  return lengths.map((length, stream) => {
    const table = new Uint8Array(256);
    for (let byte = 0, single = 0, pair = singles; byte < 256; byte++) {
      const isSingle = (parseInt(frequent[stream]![byte >> 2]!, 16) >> (byte & 3)) & 1;
      table[isSingle ? single++ : pair++] = byte;
    }
    return new Uint8Array(length).map(() => {
      let rank = ranks[text.charCodeAt(i++)]!;
      if (rank >= singles) rank = singles + (rank - singles) * characters.length + ranks[text.charCodeAt(i++)]!;
      return table[rank]!;
    });
  });
}

/** Makes the module of its streams. */
export function together(streams: readonly Uint8Array[]): Uint8Array {
  const at: number[] = new Array<number>(STREAMS).fill(0);
  const made = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const sections = streams[SECTIONS]!;
  const bytes: Bytes = {
    byte: (stream) => {
      const byte = streams[stream]![at[stream]!++]!;
      made.push(byte);
      return byte;
    },
    next: () => streams[INSTRUCTIONS]![at[INSTRUCTIONS]!]!,
    alignment: () => void made.push(0),
  };
  // A size is known afterwards: it takes five bytes, which LEB128 allows.
  const sized = (write: () => void): void => {
    const start = made.push(0, 0, 0, 0, 0);
    write();
    for (let i = 0, size = made.length - start; i < 5; i++, size >>= 7) made[start - 5 + i] = (size & 127) | (i < 4 ? 128 : 0);
  };
  while (at[SECTIONS]! < sections.length) {
    if (bytes.byte(SECTIONS) === CODE) {
      sized(() => {
        for (let left = number(bytes, SECTIONS); left > 0; left--) sized(() => body(bytes));
      });
    } else {
      for (let left = number(bytes, SECTIONS); left > 0; left--) bytes.byte(SECTIONS);
    }
  }
  return Uint8Array.from(made);
}
