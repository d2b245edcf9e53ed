import { instantiate } from '../host/instantiate.js';
import type { Instantiated } from './wasm.js';
import { inlined } from './wasm.gen.js';

/** The core, carried along as a text. */
export function instantiateInline(): Promise<Instantiated> {
  return instantiate(decode(inlined));
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function decode(text: string): Uint8Array {
  const bytes = new Uint8Array((text.length * 3) >> 2);
  let at = 0;
  let bits = 0;
  let held = 0;
  for (let i = 0; i < text.length; i++) {
    held = (held << 6) | alphabet.indexOf(text.charAt(i));
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (held >> bits) & 255;
      held &= (1 << bits) - 1;
    }
  }
  return bytes;
}
