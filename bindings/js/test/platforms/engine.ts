/** A JavaScript engine that runs one bundle and speaks in lines with it. */
export interface Engine {
  /** Calls the bundle's `__receive`. */
  send(line: string): void;
  /** Runs code, for what a test does inside. */
  run(code: string): unknown;
  close(): void;
}

/** Starts an engine with a bundle whose `__post` calls `heard`. */
export type Boot = (bundle: string, heard: (line: string) => void) => Promise<Engine>;
