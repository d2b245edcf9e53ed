import { instantiate } from '../host/instantiate.js';
import type { Instantiated } from './wasm.js';

/** A module as scripts/inline.mjs writes it. */
export interface Inlined {
  /** Which bytes are one character: a bit each, lowest first, four to a hex digit. */
  readonly frequent: string;
  /** Bytes of the module. */
  readonly length: number;
  /** The module. */
  readonly text: string;
}

/** Starts a module that is carried along as a text. */
export function instantiateInline(inlined: Inlined): Promise<Instantiated> {
  return instantiate(decode(inlined));
}

/** What may be in the text: the last two stand before another one. */
const characters = '!"#%&()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~';

function decode({ frequent, length, text }: Inlined): Uint8Array {
  const ranks = new Uint8Array(128);
  for (let i = 0; i < characters.length; i++) ranks[characters.charCodeAt(i)] = i;
  const singles = characters.length - 2;
  const table = new Uint8Array(256);
  for (let byte = 0, single = 0, pair = singles; byte < 256; byte++) {
    const isSingle = (parseInt(frequent[byte >> 2]!, 16) >> (byte & 3)) & 1;
    table[isSingle ? single++ : pair++] = byte;
  }
  const bytes = new Uint8Array(length);
  for (let at = 0, i = 0; at < length; at++) {
    let rank = ranks[text.charCodeAt(i++)]!;
    if (rank >= singles) rank = singles + (rank - singles) * characters.length + ranks[text.charCodeAt(i++)]!;
    bytes[at] = table[rank]!;
  }
  return bytes;
}
