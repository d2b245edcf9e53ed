import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { build } from 'esbuild';
import type { Boot, Engine } from './engine.js';
import { openRaw } from './sim/ground.js';
import type { Event, RawSocket, Request, Step } from './vm/kernel.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Bundles the app with an entry of the package, as an app of that platform would. */
export async function bundle(entry: string, platform: string): Promise<string> {
  const made = await build({
    entryPoints: [here('./vm/app.ts')],
    bundle: true, format: 'iife', target: 'es2018', platform: 'neutral', write: false, logLevel: 'error',
    alias: { 'moorline-entry': `moorline/${entry}`, 'moorline-platform': here(`./vm/platforms/${platform}.ts`) },
  });
  return made.outputFiles[0]!.text;
}

/** A device that runs an app: an engine with a platform in it, real sockets and timers under it. */
export class Device {
  private engine!: Engine;
  private readonly sockets = new Map<number, RawSocket>();
  private readonly timers = new Map<number, NodeJS.Timeout>();
  private settle: { resolve(facts: unknown): void; reject(error: Error): void } | undefined;

  static async start(entry: string, platform: string, boot: Boot): Promise<Device> {
    return Device.run(await bundle(entry, platform), boot);
  }

  /** Runs an app that is bundled already. */
  static async run(bundle: string, boot: Boot): Promise<Device> {
    const device = new Device();
    device.engine = await boot(bundle, (line) => device.take(JSON.parse(line) as Request));
    return device;
  }

  /** Takes a step of a scenario; returns its facts. */
  step(step: Omit<Step, 't'>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      this.tell({ t: 'step', ...step });
    });
  }

  /** Runs code inside. */
  run(code: string): unknown {
    return this.engine.run(code);
  }

  close(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    for (const socket of this.sockets.values()) socket.close(1000, '');
    this.timers.clear();
    this.sockets.clear();
    this.engine.close();
  }

  private tell(event: Event): void {
    this.engine.send(JSON.stringify(event));
  }

  private take(request: Request): void {
    switch (request.t) {
      case 'open': return this.open(request.id, request.url, request.protocols);
      case 'send': return this.sockets.get(request.id)?.send(request.text ?? new Uint8Array(Buffer.from(request.bytes!, 'latin1')));
      case 'close': return this.sockets.get(request.id)?.close(request.code, request.reason);
      case 'timer': {
        const fire = (): void => {
          this.timers.delete(request.id);
          this.tell({ t: 'fire', id: request.id });
        };
        return void this.timers.set(request.id, setTimeout(fire, request.ms));
      }
      case 'clear': return clearTimeout(this.timers.get(request.id));
      case 'random': return this.answer(request.id, Promise.resolve(randomBytes(request.length).toString('latin1')));
      case 'fetch': return this.answer(request.id, fetch(request.url, { method: request.method }).then((response) => response.text()));
      case 'file': return this.answer(request.id, fileOf(request.path).then((bytes) => bytes.toString('latin1'), () => ''));
      case 'facts': return this.settle?.resolve(request.facts);
      case 'failed': return this.settle?.reject(new Error(request.why));
    }
  }

  private open(id: number, url: string, protocols: readonly string[]): void {
    // An engine is never entered again from within itself.
    const tell = (event: Event): void => void setImmediate(() => this.sockets.has(id) && this.tell(event));
    const socket = openRaw(url, protocols, {
      opened: () => tell({ t: 'opened', id }),
      frame: (data) => tell(typeof data === 'string' ? { t: 'frame', id, text: data } : { t: 'frame', id, bytes: Buffer.from(data).toString('latin1') }),
      closed: (code, reason, failed) => tell({ t: 'closed', id, code, reason, failed }),
    });
    this.sockets.set(id, socket);
  }

  private answer(id: number, answered: Promise<string>): void {
    answered.then((text) => setImmediate(() => this.tell({ t: 'answer', id, text })), (error: Error) => this.settle?.reject(error));
  }
}

/** A file of the app's package: the core lies where the guide says. */
async function fileOf(path: string): Promise<Buffer> {
  if (!path.startsWith('/moorline/core.wasm')) throw new Error(`no file ${path}`);
  const bytes = await readFile(here(`../../dist/${path.slice('/moorline/'.length)}`));
  return path.endsWith('.br') ? brotliDecompressSync(bytes) : bytes;
}
