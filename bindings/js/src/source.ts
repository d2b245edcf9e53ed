/** A value that changes, and a way to be told. `current` is the same object until it changes. */
export interface Source<T> {
  readonly current: T;
  /** What it was before anything happened, as a server renders it. */
  readonly first?: T;
  readonly subscribe: (changed: () => void) => () => void;
}

/** What a source is over what a server has rendered. */
export function firstOf<T>(source: Source<T>): T {
  return 'first' in source ? source.first! : source.current;
}

/** A source that its owner sets. */
export class Value<T> implements Source<T> {
  readonly first: T;
  private readonly listeners = new Set<{ changed: () => void }>();

  constructor(
    public current: T,
    private readonly report: (error: unknown) => void,
  ) {
    this.first = current;
  }

  readonly subscribe = (changed: () => void): (() => void) => {
    const listener = { changed };
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  set(value: T): void {
    this.current = value;
    for (const listener of [...this.listeners]) {
      if (!this.listeners.has(listener)) continue;
      try {
        listener.changed();
      } catch (error) {
        this.report(error);
      }
    }
  }
}
