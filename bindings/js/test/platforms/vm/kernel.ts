/** What a simulated platform asks of the machine under it: lines of JSON; bytes are texts of a character each. */
export type Request =
  | { readonly t: 'open'; readonly id: number; readonly url: string; readonly protocols: readonly string[] }
  | { readonly t: 'send'; readonly id: number; readonly text?: string; readonly bytes?: string }
  | { readonly t: 'close'; readonly id: number; readonly code: number; readonly reason: string }
  | { readonly t: 'timer'; readonly id: number; readonly ms: number }
  | { readonly t: 'clear'; readonly id: number }
  | { readonly t: 'fetch'; readonly id: number; readonly url: string; readonly method: string }
  | { readonly t: 'random'; readonly id: number; readonly length: number }
  | { readonly t: 'file'; readonly id: number; readonly path: string }
  | { readonly t: 'facts'; readonly facts: unknown }
  | { readonly t: 'failed'; readonly why: string };

/** What comes back. */
export type Event =
  | { readonly t: 'opened' | 'fire'; readonly id: number }
  | { readonly t: 'frame'; readonly id: number; readonly text?: string; readonly bytes?: string }
  | { readonly t: 'closed'; readonly id: number; readonly code: number; readonly reason: string; readonly failed: boolean }
  | { readonly t: 'answer'; readonly id: number; readonly text: string }
  | Step;

/** A step of a scenario, to be taken inside. */
export interface Step {
  readonly t: 'step';
  readonly name: string;
  readonly step: number;
  readonly places: { readonly origin: string; readonly url: string; readonly proxied: string };
  readonly id: string;
  readonly before: unknown;
}

export interface RawEvents {
  opened(): void;
  frame(data: Uint8Array | string): void;
  /** `failed`: it was not the peer who closed it. */
  closed(code: number, reason: string, failed: boolean): void;
}

export interface RawSocket {
  send(data: Uint8Array | string): void;
  close(code: number, reason: string): void;
}

/** Bytes as characters: what even an interpreter does fast. */
function textOf(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode.apply(null, bytes.subarray(i, i + 4096) as unknown as number[]);
  return text;
}

function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The inside of a virtual machine: sockets, timers and the rest, over one pipe. */
export class Kernel {
  private count = 0;
  private readonly sockets = new Map<number, RawEvents>();
  private readonly timers = new Map<number, () => void>();
  private readonly answers = new Map<number, (text: string) => void>();

  constructor(
    private readonly post: (line: string) => void,
    private readonly onStep: (step: Step) => void,
  ) {}

  request(request: Request): void {
    this.post(JSON.stringify(request));
  }

  open(url: string, protocols: readonly string[], events: RawEvents): RawSocket {
    const id = ++this.count;
    this.sockets.set(id, events);
    this.request({ t: 'open', id, url, protocols });
    return {
      send: (data) => this.request(typeof data === 'string' ? { t: 'send', id, text: data } : { t: 'send', id, bytes: textOf(data) }),
      close: (code, reason) => this.request({ t: 'close', id, code, reason }),
    };
  }

  setTimeout(fire: () => void, ms: number): number {
    const id = ++this.count;
    this.timers.set(id, fire);
    this.request({ t: 'timer', id, ms });
    return id;
  }

  clearTimeout(id: number): void {
    if (this.timers.delete(id)) this.request({ t: 'clear', id });
  }

  fetch(url: string, method: string): Promise<string> {
    return this.ask((id) => ({ t: 'fetch', id, url, method }));
  }

  async random(length: number): Promise<Uint8Array> {
    return bytesOf(await this.ask((id) => ({ t: 'random', id, length })));
  }

  async file(path: string): Promise<Uint8Array> {
    const text = await this.ask((id) => ({ t: 'file', id, path }));
    if (text === '') throw new Error(`the package has no file ${path}`);
    return bytesOf(text);
  }

  receive(line: string): void {
    const event = JSON.parse(line) as Event;
    switch (event.t) {
      case 'opened': return this.sockets.get(event.id)?.opened();
      case 'frame': return this.sockets.get(event.id)?.frame(event.text ?? bytesOf(event.bytes!));
      case 'closed': {
        const events = this.sockets.get(event.id);
        this.sockets.delete(event.id);
        return events?.closed(event.code, event.reason, event.failed);
      }
      case 'fire': {
        const fire = this.timers.get(event.id);
        this.timers.delete(event.id);
        return fire?.();
      }
      case 'answer': return this.answers.get(event.id)?.(event.text);
      case 'step': return this.onStep(event);
    }
  }

  private ask(request: (id: number) => Request): Promise<string> {
    const id = ++this.count;
    return new Promise((resolve) => {
      this.answers.set(id, (text) => {
        this.answers.delete(id);
        resolve(text);
      });
      this.request(request(id));
    });
  }
}
