import { malformed } from './errors.js';

interface Entry {
  /** Absent once it is removed. */
  handle: unknown;
}

/** Typed handlers. One that throws stops nobody; one that removes another stops it at once. */
export class Emitter<Events extends { [Name in keyof Events]: readonly unknown[] }> {
  /** A list is made anew when it changes: whoever goes through one goes through what was there. */
  private readonly handlers = new Map<keyof Events, readonly Entry[]>();

  constructor(
    private readonly names: readonly (keyof Events & string)[],
    private readonly report: (error: unknown) => void,
  ) {}

  on<Name extends keyof Events & string>(name: Name, handle: (...args: Events[Name]) => void): () => void {
    if (!this.names.includes(name)) throw malformed(`there is no event ${JSON.stringify(name)}: it is one of ${this.names.join(', ')}`);
    if (typeof handle !== 'function') throw malformed(`the handler of ${name} must be a function`);
    const entry: Entry = { handle };
    this.handlers.set(name, [...this.of(name), entry]);
    return () => {
      entry.handle = undefined;
      this.handlers.set(name, this.of(name).filter((other) => other !== entry));
    };
  }

  /** Adds a handler and begins with what brings its events; if that cannot begin, it stays out. */
  start<Name extends keyof Events & string>(name: Name, handle: (...args: Events[Name]) => void, begin: () => void): () => void {
    const off = this.on(name, handle);
    try {
      begin();
    } catch (error) {
      off();
      throw error;
    }
    return off;
  }

  has(name: keyof Events): boolean {
    return this.of(name).length > 0;
  }

  emit(...event: { [Name in keyof Events]: readonly [Name, ...Events[Name]] }[keyof Events]): void {
    const [name, ...args] = event as readonly unknown[] as readonly [keyof Events, ...unknown[]];
    for (const { handle } of this.of(name)) {
      if (!handle) continue;
      try {
        const done = (handle as (...args: readonly unknown[]) => unknown)(...args);
        if (done instanceof Promise) done.catch(this.report);
      } catch (error) {
        this.report(error);
      }
    }
  }

  clear(): void {
    this.handlers.clear();
  }

  private of(name: keyof Events): readonly Entry[] {
    return this.handlers.get(name) ?? [];
  }
}
