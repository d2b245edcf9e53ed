import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const program = process.env['MOORLINE_SERVER'] ?? fileURLToPath(new URL('../../../../target/debug/moorline-server', import.meta.url));

/** A real server, with a folder of its own that outlives its restarts. */
export class Server {
  private readonly folder = mkdtempSync(join(tmpdir(), 'moorline-js-'));
  private child: ChildProcess | undefined;
  private port = 0;
  private link: Promise<string> | undefined;

  private constructor(private readonly args: readonly string[]) {}

  /** Starts one, with further arguments. */
  static async start(args: readonly string[] = []): Promise<Server> {
    const server = new Server(args);
    await server.start();
    return server;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  /** The link to the console that it has printed: good once. */
  get console(): Promise<string> {
    return this.link!;
  }

  /** Starts it, again on the same port. */
  async start(): Promise<void> {
    const child = spawn(program, ['--dev', '--listen', `127.0.0.1:${this.port}`, '--data', this.folder, ...this.args]);
    this.child = child;
    const lines = createInterface({ input: child.stderr });
    const seen: string[] = [];
    this.link = new Promise((resolve) => {
      lines.on('line', (line) => {
        const found = /http:\/\/\S+\/console#key=\S+/.exec(line);
        if (found) resolve(found[0]);
      });
    });
    const port = await new Promise<number>((resolve, reject) => {
      const look = (line: string): void => {
        seen.push(line);
        const found = /127\.0\.0\.1:(\d+)/.exec(line);
        if (found && found[1] !== '0') resolve(Number(found[1]));
      };
      lines.on('line', look);
      createInterface({ input: child.stdout }).on('line', look);
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${seen.join('\n')}`)));
      child.once('error', reject);
    });
    this.port = port;
  }

  /** Kills it. */
  async kill(): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** Starts it again with nothing stored. */
  async wipe(): Promise<void> {
    await this.remove();
    mkdirSync(this.folder);
    await this.start();
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
