/**
 * Random bytes where the platform gives them late, or none: ChaCha20 under a key that is stirred with whatever is to be had. Until
 * `stir` is given bytes of the platform, they are unique, not secret: docs/adr/0015-mini-programs.md.
 */
export class Random {
  private readonly key = new Uint32Array(8);
  private counter = 0;
  private block: Uint8Array = new Uint8Array(0);
  private at = 0;

  constructor() {
    const chance = new Uint32Array(8);
    for (let i = 0; i < chance.length; i++) chance[i] = Math.random() * 0x100000000;
    chance[0]! ^= Date.now();
    this.stir(new Uint8Array(chance.buffer));
  }

  /** Mixes bytes into the key: it is worth what the best of all that was mixed in is worth. */
  stir(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) this.key[(i >> 2) & 7]! ^= bytes[i]! << ((i & 3) * 8);
    // The next key is made of this one, so that what is stirred in later does not undo it.
    const next = new Uint8Array(32);
    this.block = new Uint8Array(0);
    this.at = 0;
    this.fill(next);
    for (let i = 0; i < 8; i++) this.key[i] = next[i * 4]! | (next[i * 4 + 1]! << 8) | (next[i * 4 + 2]! << 16) | (next[i * 4 + 3]! << 24);
    this.block = new Uint8Array(0);
    this.at = 0;
  }

  fill(into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) {
      if (this.at === this.block.length) {
        this.block = chacha20(this.key, this.counter++);
        this.at = 0;
      }
      into[i] = this.block[this.at++]!;
    }
  }
}

const quarters = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
] as const;

/** A block of ChaCha20 (RFC 8439), with a nonce of zeros. */
export function chacha20(key: Uint32Array, counter: number): Uint8Array {
  const start = new Uint32Array(16);
  start.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]);
  start.set(key, 4);
  start[12] = counter;
  const state = start.slice();
  const step = (to: number, by: number, into: number, left: number): void => {
    state[to]! += state[by]!;
    const mixed = state[into]! ^ state[to]!;
    state[into] = (mixed << left) | (mixed >>> (32 - left));
  };
  for (let round = 0; round < 10; round++) {
    for (const [a, b, c, d] of quarters) step(a, b, d, 16), step(c, d, b, 12), step(a, b, d, 8), step(c, d, b, 7);
  }
  const bytes = new Uint8Array(64);
  for (let i = 0; i < 64; i++) {
    const word = (state[i >> 2]! + start[i >> 2]!) >>> 0;
    bytes[i] = word >>> ((i & 3) * 8);
  }
  return bytes;
}
