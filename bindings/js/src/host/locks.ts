/** What is used of the Web Locks API. */
interface Locks {
  request(name: string, options: { readonly ifAvailable: true }, held: (lock: unknown) => Promise<void> | undefined): Promise<unknown>;
}

/** Takes a lock that all pages of this origin share, if nobody has it. Returns who gives it back. Without Web Locks there is one, unless it is needed. */
export async function takeLock(name: string, isNeeded: boolean): Promise<(() => void) | undefined> {
  const locks = (globalThis as { readonly navigator?: { readonly locks?: Locks } }).navigator?.locks;
  if (!locks && isNeeded) throw new Error('this browser has no Web Locks');
  if (!locks) return () => undefined;
  return new Promise((resolve, reject) => {
    const held = (lock: unknown): Promise<void> | undefined => {
      if (lock) return new Promise<void>((release) => resolve(release));
      resolve(undefined);
      return undefined;
    };
    locks.request(name, { ifAvailable: true }, held).catch(reject);
  });
}
