import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { chmodSync, closeSync, constants, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { Boot, Engine } from '../platforms/engine.js';
import { ascii, tool } from '../platforms/hermes.js';

const run = promisify(execFile);
/** Tells lines of the host from what an app prints. */
const mark = '#moorline#';

/**
 * The program that all others hang on: it starts the host and the app, then waits for events. An event is one more segment of bytecode, read
 * from a pipe beside the program; while there are tasks to run, none is asked for.
 */
const boot = `
var tasks = 0, later = setTimeout, number = 0;
globalThis.__global = globalThis;
globalThis.__post = function (line) { print('${mark}' + line); };
globalThis.__later = function (run) { tasks++; later(function () { tasks--; run(); }); };
require('./host.js');
require('./app.js');
__post('ready');
(function turn() {
  if (tasks === 0) {
    __post('next');
    loadSegment(require.context, 1);
    require('./event' + ++number + '.js');
  }
  later(turn);
})();
`;

/** An app that is compiled to Hermes bytecode, together with the host that stands for its phone's native side. */
export class Bytecode {
  private constructor(readonly folder: string) {}

  /** Compiles with the compiler of the Hermes that runs it. */
  static async compile(host: string, app: string): Promise<Bytecode> {
    for (const name of ['hermes', 'hermesc']) chmodSync(tool(name), 0o755);
    const folder = mkdtempSync(join(tmpdir(), 'moorline-bytecode-'));
    const sources = { 'boot.js': boot, 'host.js': host, 'app.js': app };
    for (const [name, source] of Object.entries(sources)) writeFileSync(join(folder, name), source);
    await compile(folder, 'main.hbc', ...Object.keys(sources));
    return new Bytecode(folder);
  }

  get file(): string {
    return join(this.folder, 'main.hbc');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Hermes 0.12 running a file of bytecode, with the engine's own queue of microtasks, as React Native has it without a bridge. */
export const hermesBytecode: Boot = async (file, heard) => {
  const program = new Program(file, heard);
  await program.started;
  return program;
};

class Program implements Engine {
  readonly started: Promise<void>;
  private readonly folder: string;
  /** What the first segment is read from, again and again. */
  private readonly pipe: string;
  private readonly child: ChildProcess;
  private readonly printed: string[] = [];
  private code: string[] = [];
  private number = 0;
  private isAsked = false;
  private feeding = Promise.resolve();
  private isOver = false;

  constructor(bytecode: string, heard: (line: string) => void) {
    // Below the bytecode's own folder, which is removed at the end.
    this.folder = mkdtempSync(join(dirname(bytecode), 'phone-'));
    const file = join(this.folder, 'main.hbc');
    this.pipe = `${file}.1`;
    symlinkSync(bytecode, file);
    execFileSync('mkfifo', [this.pipe]);
    const child = (this.child = spawn(tool('hermes'), ['-w', '-Xmicrotask-queue', file], { stdio: ['ignore', 'pipe', 'inherit'] }));
    child.once('exit', () => this.end());
    this.started = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`Hermes ended with ${code}: ${this.printed.join('\n')}`)));
      createInterface({ input: child.stdout! }).on('line', (line) => {
        if (!line.startsWith(mark)) return void this.printed.push(line);
        const said = line.slice(mark.length);
        if (said === 'ready') resolve();
        else if (said === 'next') this.ask();
        else heard(said);
      });
    });
  }

  send(line: string): void {
    this.run(`__receive(${ascii(JSON.stringify(line))});`);
  }

  run(code: string): void {
    this.code.push(code);
    this.feed();
  }

  close(): void {
    this.end();
    this.child.kill();
  }

  private ask(): void {
    this.isAsked = true;
    this.feed();
  }

  /** Gives the program what there is, once it has asked. */
  private feed(): void {
    if (this.isOver || !this.isAsked || this.code.length === 0) return;
    this.isAsked = false;
    const name = `event${++this.number}.js`;
    const code = this.code.splice(0).join('\n');
    this.feeding = (async () => {
      await writeFile(join(this.folder, name), code);
      await compile(this.folder, 'event.hbc', name);
      await writeFile(this.pipe, await readFile(join(this.folder, 'event.hbc')));
    })().catch((error) => {
      if (!this.isOver) throw error;
    });
  }

  /** Nobody reads any more: a writer that waits finds a reader that does not read. */
  private end(): void {
    if (this.isOver) return;
    this.isOver = true;
    const reader = openSync(this.pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    void this.feeding.then(() => closeSync(reader));
  }
}

async function compile(folder: string, out: string, ...files: string[]): Promise<void> {
  await run(tool('hermesc'), ['-w', '-O', '-commonjs', '-emit-binary', '-out', out, ...files], { cwd: folder });
}
