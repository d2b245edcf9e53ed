/** Waits for what a platform promises, so many ms at most: some never answer. */
export function within<T>(ms: number, promised: PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(reject, ms);
    promised.then(resolve, reject).then(() => clearTimeout(timer));
  });
}
