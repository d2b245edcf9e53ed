import type { Call } from '../core/calls.js';
import { Reader } from '../core/reader.js';
import { Writer } from '../core/writer.js';
import type { MoorlineError } from '../errors.js';
import type { Position } from '../types.js';

/** Records that answer a request. */
export const asks: readonly number[] = [43, 45, 46, 50];
/** The call of an app's backend. */
export const callsBackend = 22;

/** A call as bytes. */
export function encode(call: Call): Uint8Array {
  const writer = new Writer();
  call(writer);
  return writer.view().slice();
}

export function writeFailure(error: MoorlineError): Uint8Array {
  const origin = ['client', 'server', 'transport'].indexOf(error.origin);
  return new Writer().number(0).text(error.code).text(error.message).byte(origin).view();
}

/** A `since` that is set: after this position. */
export function writeStart(at: Position): Uint8Array {
  return new Writer().byte(1).byte(5).text(at.epoch).number(at.offset).view();
}

/** Whether a `since` names a place other than where reading stands. */
export function isNamedStart(since: Uint8Array): boolean {
  return since[0] === 1 && since[1]! > 2;
}

/** A call of `subscribe`, taken apart. */
export interface Split {
  readonly channel: string;
  readonly since: Uint8Array;
  /** What follows `since`. */
  readonly rest: Uint8Array;
  readonly qos: number | undefined;
  readonly isDurable: boolean;
}

/** Reads a call of `subscribe`. */
export function splitSubscribe(bytes: Uint8Array): Split {
  const from = new Reader(bytes);
  from.byte();
  const channel = from.text();
  const before = from.rest();
  from.maybe((reader) => {
    const kind = reader.byte();
    if (kind === 5) reader.text();
    if (kind > 3) reader.number();
  });
  const rest = from.rest();
  const since = before.slice(0, before.length - rest.length);
  from.maybe((reader) => reader.flag());
  const qos = from.maybe((reader) => reader.byte());
  return { channel, since, rest, qos, isDurable: from.maybe((reader) => reader.flag()) === true };
}

/** Reads a call of `publish`: what names the message, its level and the size of its payload. */
export function readPublish(bytes: Uint8Array): { key: string; qos: number | undefined; size: number } {
  const from = new Reader(bytes);
  from.byte();
  const channel = from.text();
  from.byte();
  const size = from.blob().length;
  const qos = from.maybe((reader) => reader.byte());
  return { key: `${channel}\n${from.maybe((reader) => reader.text()) ?? ''}`, qos, size };
}

/** The channel of a call about presence. */
export function presenceChannel(bytes: Uint8Array): string {
  return new Reader(bytes.subarray(1)).text();
}

/** The answer to `restored`. */
export function writeRestored(messages: readonly (readonly [id: number, key: string])[]): Uint8Array {
  return new Writer()
    .list(messages, (to, [id, key]) => {
      const at = key.indexOf('\n');
      to.number(id).text(key.slice(0, at)).text(key.slice(at + 1));
    })
    .view();
}
