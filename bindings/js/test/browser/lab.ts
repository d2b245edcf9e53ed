import { createHmac, randomUUID } from 'node:crypto';
import { type IncomingMessage, type Server as HttpServer, type ServerResponse, createServer } from 'node:http';
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { FaultProxy } from '../kit/proxy.js';
import { Server } from '../kit/server.js';

const secret = 'a-secret-of-the-tests-32-bytes-long';
/** Short spans, so that tests see within seconds what takes half a minute otherwise. */
const config = (origin: string): string => `
[server]
durability = "process"
[limits]
ping = "5s"
publish_rate = 0
[[apps]]
name = "default"
anonymous = true
[[apps.keys]]
alg = "HS256"
secret = "${secret}"
[[callouts]]
name = "calls"
url = "${origin}/call"
secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
asks = ["call"]
allow_private = true
`;

/** What a path answers. */
export interface Served {
  readonly body: string | Uint8Array;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What the server asks the app's backend. */
interface Question {
  readonly id: string;
  readonly method: string;
  readonly user?: string;
  readonly data?: unknown;
  readonly text?: string;
  readonly bin?: string;
}

const folder = fileURLToPath(new URL('.', import.meta.url));

/**
 * The real server, a proxy that fails on demand in front of it, and a web server with the pages under test. A page steers the
 * proxy, counts its bytes and gets tokens by HTTP, from where it comes from: `POST /control/NAME`, `GET /bytes`,
 * `GET /token?user=…&seconds=…&match=…`.
 */
export class Lab {
  private readonly paths = new Map<string, Served>();
  /** How often the backend was asked, by the id of the call. */
  private readonly called = new Map<string, number>();

  private constructor(
    readonly server: Server,
    readonly proxy: FaultProxy,
    private readonly web: HttpServer,
    private readonly folder: string,
  ) {}

  static async start(): Promise<Lab> {
    const web = createServer();
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    const folder = mkdtempSync(join(tmpdir(), 'moorline-lab-'));
    const file = join(folder, 'moorline.toml');
    writeFileSync(file, config(`http://127.0.0.1:${(web.address() as AddressInfo).port}`));
    const server = await Server.start(['--config', file]);
    const proxy = await FaultProxy.start(Number(new URL(server.url).port));
    const lab = new Lab(server, proxy, web, folder);
    web.on('request', (request, response) => void lab.answer(request, response));
    return lab;
  }

  /** Where pages come from. */
  get origin(): string {
    return `http://127.0.0.1:${(this.web.address() as AddressInfo).port}`;
  }

  /** The server through the proxy. */
  get proxied(): string {
    return `ws://127.0.0.1:${this.proxy.port}/ws`;
  }

  /** What a page of this lab needs to know. */
  get places(): { origin: string; url: string; proxied: string } {
    return { origin: this.origin, url: this.server.url, proxied: this.proxied };
  }

  /** Answers a path. */
  serve(path: string, served: Served): void {
    this.paths.set(path, served);
  }

  /**
   * Bundles a module of this folder as an app would be, with the package `moorline` as it was built, and serves a page that
   * runs it. Returns the page's URL.
   */
  async page(entry: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const name = `${entry.replace(/\W/g, '-')}-${randomUUID().slice(0, 8)}`;
    await this.script(entry, `/${name}.js`);
    this.serve(`/${name}`, {
      body: `<!doctype html><meta charset=utf-8><title>moorline</title><script type=module src="/${name}.js"></script>`,
      headers,
    });
    return `${this.origin}/${name}`;
  }

  /** Bundles a module likewise, and serves it alone; `change` changes its text. */
  async script(entry: string, path: string, change = (text: string) => text): Promise<void> {
    const built = await build({
      entryPoints: [join(folder, entry)],
      bundle: true,
      format: 'esm',
      platform: 'browser',
      target: 'es2020',
      write: false,
      logLevel: 'warning',
    });
    this.serve(path, { body: change(built.outputFiles[0]!.text), type: 'text/javascript' });
  }

  /** A token that the server takes. */
  token(user: string, seconds: number, match = '*'): string {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const now = Math.floor(Date.now() / 1000);
    const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({
      aud: 'default', sub: user, iat: now, exp: now + seconds, grants: [{ match, can: ['subscribe', 'publish', 'history', 'presence', 'call'] }],
    })}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  }

  async close(): Promise<void> {
    this.web.closeAllConnections();
    await new Promise((resolve) => this.web.close(resolve));
    await this.proxy.close();
    await this.server.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.origin);
    if (url.pathname === '/token') {
      const [user, seconds, match] = ['user', 'seconds', 'match'].map((name) => url.searchParams.get(name) ?? '*');
      return void response.end(this.token(user!, Number(seconds), match!));
    }
    if (url.pathname === '/call') return this.call(JSON.parse(await text(request)) as Question, response);
    if (url.pathname === '/bytes') return void response.end(String(this.proxy.bytesSent));
    if (url.pathname.startsWith('/control/')) {
      await this.control(url.pathname.slice('/control/'.length), url.searchParams);
      return void response.end('done');
    }
    const served = this.paths.get(url.pathname);
    response.writeHead(served ? 200 : 404, { 'content-type': served?.type ?? 'text/html; charset=utf-8', ...served?.headers });
    response.end(served?.body ?? '');
  }

  /** The app's backend: does what the method says. */
  private call({ id, method, user, data, ...rest }: Question, response: ServerResponse): void {
    const answer = (status: number, body: object): void => void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    this.called.set(id, (this.called.get(id) ?? 0) + 1);
    const { text, bin } = rest;
    switch (method) {
      case 'echo':
        return answer(200, text !== undefined ? { text } : bin !== undefined ? { bin } : { data });
      case 'who':
        return answer(200, { data: { id, user } });
      case 'refuse':
        return answer(409, { code: 'sold_out', message: 'none left' });
      case 'fail':
        return answer(500, {});
      case 'times':
        return answer(200, { data: this.called.get(text ?? '') ?? 0 });
      // The answer never comes, and the connection of who asks ends.
      case 'cut':
        return this.proxy.cut();
    }
  }

  private async control(command: string, of: URLSearchParams): Promise<void> {
    switch (command) {
      case 'cut':
        return this.proxy.cut();
      case 'black-hole':
        return this.proxy.blackHole();
      case 'refuse':
        return this.proxy.refuse();
      case 'heal':
        return this.proxy.heal();
      case 'delay':
        return this.proxy.delay(Number(of.get('ms')));
      case 'kill':
        return this.server.kill();
      case 'start':
        return this.server.start();
      default:
        throw new Error(`the lab knows no ${command}`);
    }
  }
}
