import { instantiate } from '../host/instantiate.js';
import type { Instantiated } from './wasm.js';

/** A module as scripts/inline.mjs writes it. */
export interface Inlined {
  /** All bytes, the most frequent first, in hex. */
  readonly order: string;
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

function decode({ order, length, text }: Inlined): Uint8Array {
  const ranks = new Uint8Array(128);
  for (let i = 0; i < characters.length; i++) ranks[characters.charCodeAt(i)] = i;
  const singles = characters.length - 2;
  const table = new Uint8Array(256);
  for (let i = 0; i < 256; i++) table[i] = parseInt(order.slice(i * 2, i * 2 + 2), 16);
  const bytes = new Uint8Array(length);
  for (let at = 0, i = 0; at < length; at++) {
    let rank = ranks[text.charCodeAt(i++)]!;
    if (rank >= singles) rank = singles + (rank - singles) * characters.length + ranks[text.charCodeAt(i++)]!;
    bytes[at] = table[rank]!;
  }
  return bytes;
}
