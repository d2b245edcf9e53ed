import { MoorlineError, codeOf } from '../errors.js';
import { isPlain, readUtf8 } from './utf8.js';

/** Reads what the core wrote. */
export class Reader {
  constructor(
    private bytes: Uint8Array,
    private at = 0,
    private end = bytes.length,
    /** Texts that may come again, by place. */
    readonly known = ['', '', ''],
  ) {}

  get hasMore(): boolean {
    return this.at < this.end;
  }

  /** Bytes that are not read yet. */
  get left(): number {
    return this.end - this.at;
  }

  /** What is not read yet. */
  rest(): Uint8Array {
    return this.bytes.subarray(this.at, this.end);
  }

  /** Copies what is not read yet: where it is, something else is about to be. */
  keep(): void {
    this.bytes = this.bytes.slice(this.at, this.end);
    this.end -= this.at;
    this.at = 0;
  }

  skipAll(): void {
    this.at = this.end;
  }

  byte(): number {
    return this.bytes[this.at++]!;
  }

  flag(): boolean {
    return this.byte() !== 0;
  }

  number(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  }

  /** A number written as one more than it is; zero is none. */
  aboveZero(): number | undefined {
    const value = this.number();
    return value === 0 ? undefined : value - 1;
  }

  /** A copy: the core's memory is used again. */
  blob(): Uint8Array {
    const length = this.number();
    return this.bytes.slice(this.at, (this.at += length));
  }

  text(): string {
    const length = this.number();
    return readUtf8(this.bytes, this.at, (this.at += length));
  }

  /** A text that is often the one that was read last in this place: the same string then, which costs less. */
  again(place: 0 | 1 | 2): string {
    const { at } = this;
    const last = this.known[place]!;
    const length = this.number();
    if (length === last.length && isPlain(last, this.bytes, this.at)) {
      this.at += length;
      return last;
    }
    this.at = at;
    return (this.known[place] = this.text());
  }

  maybe<T>(read: (reader: this) => T): T | undefined {
    return this.flag() ? read(this) : undefined;
  }

  list<T>(read: (reader: this) => T): T[] {
    const list: T[] = [];
    for (let left = this.number(); left > 0; left--) list.push(read(this));
    return list;
  }

  failure(): MoorlineError {
    const number = this.number();
    const code = number === 0 ? this.text() : codeOf(number);
    return new MoorlineError(code, this.text(), (['client', 'server', 'transport'] as const)[this.byte()]);
  }

  result<T>(read: (reader: this) => T): T | MoorlineError {
    return this.flag() ? this.failure() : read(this);
  }
}
