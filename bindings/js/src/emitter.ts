import { malformed } from './errors.js';

/** Typed handlers. One that throws stops nobody; one that removes another stops it at once. */
export class Emitter<Events extends { [Name in keyof Events]: readonly unknown[] }> {
  private readonly handlers = new Map<keyof Events, Set<{ handle: unknown }>>();

  constructor(
    private readonly names: readonly (keyof Events & string)[],
    private readonly report: (error: unknown) => void,
  ) {}

  on<Name extends keyof Events & string>(name: Name, handle: (...args: Events[Name]) => void): () => void {
    if (!this.names.includes(name)) throw malformed(`there is no event ${JSON.stringify(name)}: it is one of ${this.names.join(', ')}`);
    if (typeof handle !== 'function') throw malformed(`the handler of ${name} must be a function`);
    let set = this.handlers.get(name);
    if (!set) this.handlers.set(name, (set = new Set()));
    const entry = { handle };
    set.add(entry);
    return () => void set.delete(entry);
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
    return (this.handlers.get(name)?.size ?? 0) > 0;
  }

  emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): void {
    const set = this.handlers.get(name);
    if (!set) return;
    for (const entry of [...set]) {
      if (!set.has(entry)) continue;
      try {
        const done: unknown = (entry.handle as (...args: Events[Name]) => unknown)(...args);
        if (done instanceof Promise) done.catch(this.report);
      } catch (error) {
        this.report(error);
      }
    }
  }

  clear(): void {
    this.handlers.clear();
  }
}
