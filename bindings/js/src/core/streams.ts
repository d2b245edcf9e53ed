// A module taken apart into streams: bytes of one kind stand together, where a compressor predicts them by each other.

/** All sections but the code. Of the code the number of functions. */
export const SECTIONS = 0;
/** Which locals functions have. */
export const LOCALS = 1;
/** Instructions, and what only few of them carry. */
export const INSTRUCTIONS = 2;
/** Which local. */
export const LOCAL = 3;
/** Which function. */
export const CALL = 4;
/** How far to branch. */
export const BRANCH = 5;
/** Where beside an address. */
export const OFFSET = 6;
/** Constants of 32 bits. */
export const CONSTANT = 7;
/** Those that are added. */
export const ADDEND = 8;
/** Other constants. */
export const WIDE = 9;

/** How many there are. */
export const STREAMS = 10;

/** The section of the code. */
export const CODE = 10;

/** How a body gets from one side to the other. */
export interface Bytes {
  /** Passes on one byte of a stream, and returns it. */
  byte(stream: number): number;
  /** Returns the next instruction, which stays where it is. */
  next(): number;
  /** An alignment is here, in a module. It is advice that no engine needs: no stream has it. */
  alignment(): void;
}

/** Passes on a number, in LEB128. Returns it, modulo 2^32. */
export function number(bytes: Bytes, stream: number): number {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes.byte(stream);
    value |= (byte & 127) << shift;
    if (byte < 128) return value;
  }
}

/** Passes on the body of a function, without its size: the same steps apart and together. Knows what LLVM uses for this core. */
export function body(bytes: Bytes): void {
  const numbers = (stream: number, count: number): void => {
    while (count-- > 0) number(bytes, stream);
  };
  numbers(LOCALS, 2 * number(bytes, LOCALS));
  for (let depth = 1; depth > 0; ) {
    const op = bytes.byte(INSTRUCTIONS);
    // end; block, loop, if
    if (op === 0x0b) depth--;
    if (op >= 0x02 && op <= 0x04) depth++;
    // a block's type, global.get, global.set, memory.size, memory.grow
    if ((op >= 0x02 && op <= 0x04) || op === 0x23 || op === 0x24 || op === 0x3f || op === 0x40) numbers(INSTRUCTIONS, 1);
    // br, br_if, br_table
    if (op === 0x0c || op === 0x0d) numbers(BRANCH, 1);
    if (op === 0x0e) numbers(BRANCH, number(bytes, BRANCH) + 1);
    // call, call_indirect
    if (op === 0x10 || op === 0x11) numbers(CALL, op - 0x0f);
    // local.get, local.set, local.tee
    if (op >= 0x20 && op <= 0x22) numbers(LOCAL, 1);
    // loads and stores
    if (op >= 0x28 && op <= 0x3e) {
      bytes.alignment();
      numbers(OFFSET, 1);
    }
    // i32.const before i32.add, or not
    if (op === 0x41) numbers(bytes.next() === 0x6a ? ADDEND : CONSTANT, 1);
    // i64.const, f32.const, f64.const
    if (op === 0x42) numbers(WIDE, 1);
    if (op === 0x43 || op === 0x44) for (let left = op === 0x43 ? 4 : 8; left > 0; left--) bytes.byte(WIDE);
    // conversions; memory.copy, memory.fill
    if (op === 0xfc) {
      const wide = number(bytes, INSTRUCTIONS);
      numbers(INSTRUCTIONS, wide === 10 ? 2 : wide === 11 ? 1 : 0);
    }
  }
}
