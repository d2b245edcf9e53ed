/** Waits for what a platform promises, so many ms at most: some never answer. */
export function within<T>(ms: number, promised: PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the platform did not answer within ${ms} ms`)), ms);
    const stop = (): void => clearTimeout(timer);
    promised.then(resolve, reject);
    promised.then(stop, stop);
  });
}
