/** Reads bytes as UTF-8. */
type Decode = (bytes: Uint8Array) => string;

let found: Decode | undefined | null = null;

/** The platform's own decoder of texts, where it has one that leaves a mark of byte order in the text. */
export function decoder(): Decode | undefined {
  if (found === null) {
    found = undefined;
    if (typeof TextDecoder === 'function') {
      const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
      if (utf8.decode(Uint8Array.of(0xef, 0xbb, 0xbf)) === '\ufeff') found = (bytes) => utf8.decode(bytes);
    }
  }
  return found;
}
