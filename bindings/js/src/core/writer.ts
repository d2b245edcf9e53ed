import { utf8Length, writeUtf8 } from './utf8.js';

/** Writes a batch of calls: varints, texts and bytes behind their lengths. */
export class Writer {
  private bytes = new Uint8Array(1024);
  length = 0;

  byte(value: number): this {
    this.room(1);
    this.bytes[this.length++] = value;
    return this;
  }

  flag(value: boolean): this {
    return this.byte(value ? 1 : 0);
  }

  /** A whole number of 0 to 2^53 − 1. */
  number(value: number): this {
    this.room(8);
    while (value > 127) {
      this.bytes[this.length++] = (value & 127) | 128;
      value = Math.floor(value / 128);
    }
    this.bytes[this.length++] = value;
    return this;
  }

  blob(value: Uint8Array): this {
    this.number(value.length);
    this.room(value.length);
    this.bytes.set(value, this.length);
    this.length += value.length;
    return this;
  }

  text(value: string): this {
    const length = utf8Length(value);
    this.number(length);
    this.room(length);
    this.length = writeUtf8(value, this.bytes, this.length);
    return this;
  }

  /** Bytes as they are. */
  raw(value: Uint8Array): this {
    this.room(value.length);
    this.bytes.set(value, this.length);
    this.length += value.length;
    return this;
  }

  maybe<T>(value: T | undefined, write: (writer: this, value: T) => void): this {
    this.flag(value !== undefined);
    if (value !== undefined) write(this, value);
    return this;
  }

  list<T>(values: readonly T[], write: (writer: this, value: T) => void): this {
    this.number(values.length);
    for (const value of values) write(this, value);
    return this;
  }

  view(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
    if (this.bytes.length > 1 << 17) this.bytes = new Uint8Array(1024);
  }

  private room(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const bytes = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    bytes.set(this.view());
    this.bytes = bytes;
  }
}
