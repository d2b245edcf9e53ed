let utf8: TextDecoder | false | undefined;

/** The platform's own decoder of texts, if it has one. A mark of byte order is a part of a text. */
export function decoder(): TextDecoder | false {
  if (utf8 === undefined) utf8 = typeof TextDecoder === 'function' && new TextDecoder('utf-8', { ignoreBOM: true });
  return utf8;
}
