/** What a platform with several pages of one app lends them, so that they share one connection. */
export interface TabEnvironment {
  /** Web Locks, shared by all pages. */
  readonly locks: Locks;
  /** Opens a channel to all other pages that have opened it. */
  open(name: string, take: (message: unknown) => void): { post(message: unknown): void; close(): void };
  /** A name that tells nothing of this text, the same in each page. */
  digest(text: string): Promise<string>;
  /** Ms since 1970. */
  now(): number;
  /** Tells when the page is put away or frozen (`true`) and goes on (`false`), until what is returned is called. */
  away?: ((tell: (isAway: boolean) => void) => () => void) | undefined;
}

/** What is needed of a `LockManager`. */
export interface Locks {
  request(name: string, options: { readonly signal?: AbortSignal; readonly steal?: boolean }, held: () => Promise<void>): Promise<unknown>;
  query(): Promise<{ readonly held?: readonly { readonly name?: string; readonly clientId?: string }[] }>;
}
