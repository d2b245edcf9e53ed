// What the bundler puts in place for a platform.
declare module 'moorline-entry' {
  export * from 'moorline/asm';
}
declare module 'moorline-platform' {
  export const platform: (
    machine: import('../sim/machine.js').Machine,
    instantiate: ((bytes: Uint8Array) => Promise<object>) | undefined,
  ) => { globals: Record<string, unknown>; options: object; makeHost: () => import('moorline/asm').Host };
}
