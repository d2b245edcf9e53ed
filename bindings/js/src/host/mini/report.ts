/** Where there is no other place for an error: the platform's own, for promises that nobody waits for. */
export function report(error: unknown): void {
  void Promise.reject(error);
}
