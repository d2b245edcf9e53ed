import { payloadOf } from '../payload.js';
import { fromBase64, toBase64 } from './base64.js';

/** What a frame carries, as JSON says it: exactly one of them. */
export interface Content {
  readonly data?: unknown;
  readonly text?: string;
  readonly bin?: string;
}

/** A value as a frame carries it: a text and bytes as such, everything else as JSON. Throws what JSON cannot say. */
export function toContent(value: unknown, what?: string): Content {
  const { kind, bytes } = payloadOf(value, what);
  return kind === 2 ? { bin: toBase64(bytes) } : kind === 1 ? { text: value as string } : { data: value };
}

export function fromContent({ data, text, bin }: Content): unknown {
  return bin === undefined ? (text ?? data) : fromBase64(bin);
}
