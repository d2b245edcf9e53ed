/** What is used of the Web Locks API; hosts without it are given every lock. */
interface Locks {
  request(name: string, options: { readonly ifAvailable: true }, held: (lock: unknown) => Promise<void> | undefined): Promise<unknown>;
}

/** Takes a lock that all pages of this origin share, if nobody has it. Returns who gives it back. */
export function takeLock(name: string): Promise<(() => void) | undefined> {
  const locks = (globalThis as { readonly navigator?: { readonly locks?: Locks } }).navigator?.locks;
  if (!locks) return Promise.resolve(() => undefined);
  return new Promise((resolve, reject) => {
    const held = (lock: unknown): Promise<void> | undefined => {
      if (lock) return new Promise<void>((release) => resolve(release));
      resolve(undefined);
      return undefined;
    };
    locks.request(name, { ifAvailable: true }, held).catch(reject);
  });
}
