import { isMoorlineError } from '../errors.js';
import type { Clock } from './clock.js';
import { type Content, fromContent, toContent } from './content.js';

/** A client's call, as the app's backend gets it. */
export interface BackendCall {
  /** As it was passed to `client.call`: a text, bytes, or what JSON says. */
  readonly data: unknown;
  readonly method: string;
  /** The client's name of the call: the same when the app calls again with the same `id`. */
  readonly id: string;
  readonly app: string;
  /** Absent for anonymous clients. */
  readonly user?: string;
  readonly device: string;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Answers a call with what it returns; refuses it with what it throws. */
export type CallHandler = (call: BackendCall) => unknown;

/** How calls are answered. */
export interface OnCallOptions {
  /** ms that the answer takes, of the server's time (default 0). What is done, is done at once. */
  readonly delay?: number;
}

/** What the server asks. */
export interface Question {
  readonly app: string;
  readonly user?: string;
  readonly device: string;
  readonly frame: Content & { readonly req: number; readonly id: string; readonly method: string; readonly timeout: number };
}

interface Line {
  readonly pattern: string;
  readonly handler: CallHandler;
  readonly delay: number;
}

/** A call that has no answer. */
interface Open {
  readonly question: Question;
  readonly abort: AbortController;
  readonly stop: () => void;
}

/** What a backend may say instead of an answer. */
const failures = /^call\.(refused(\.[\w.-]{1,64})?|unavailable|failed|timeout)$/;

/** The app's backend, as far as it answers calls. */
export class Calls {
  private readonly lines: Line[] = [];
  private readonly open = new Map<number, Open>();

  constructor(
    private readonly clock: Clock,
    private readonly answer: (call: number, frame: unknown) => void,
    private readonly report: (error: unknown) => void,
  ) {}

  /** Answers what fits, from now on; of several the last. Returns its own undo. */
  on(pattern: string, handler: CallHandler, { delay = 0 }: OnCallOptions): () => void {
    if (typeof pattern !== 'string' || !/^([\w.:/-]{1,128}|[\w.:/-]{0,127}\*)$/.test(pattern)) {
      throw new TypeError(`onCall() takes a method, 1 to 128 of A-Z, a-z, 0-9 and _.:/-, or a beginning and *, not ${JSON.stringify(pattern)}`);
    }
    if (typeof handler !== 'function') throw new TypeError('onCall() takes a function that answers');
    if (!(delay >= 0)) throw new RangeError(`the delay of an answer is in ms and not negative, not ${delay}`);
    const line = { pattern, handler, delay };
    this.lines.push(line);
    return () => {
      const at = this.lines.indexOf(line);
      if (at >= 0) this.lines.splice(at, 1);
    };
  }

  /** The server asks. */
  ask(question: Question): void {
    const call = question.frame.req;
    const abort = new AbortController();
    const late = (): void => {
      this.finish(open, failure('call.timeout', "the app's backend did not answer in time; it may have carried the call out"));
      abort.abort();
    };
    const open: Open = { question, abort, stop: this.clock.after(question.frame.timeout, late) };
    this.open.set(call, open);
    this.clock.soon(() => void this.serve(open));
  }

  /** Nobody waits any more. */
  giveUp(call: number): void {
    this.take(call)?.abort.abort();
  }

  /** The server is gone, and with it whoever waited. */
  clear(): void {
    for (const call of [...this.open.keys()]) this.giveUp(call);
  }

  private async serve(open: Open): Promise<void> {
    const { question, abort } = open;
    const { frame, app, user, device } = question;
    const { method, id } = frame;
    const line = [...this.lines].reverse().find(({ pattern }) => fits(pattern, method));
    if (!line) return this.finish(open, failure('call.refused', `no handler for this method: server.onCall('${method}', …)`));
    let answer: unknown;
    try {
      const who = user === undefined ? {} : { user };
      const value = await line.handler({ data: fromContent(frame), method, id, app, ...who, device, signal: abort.signal });
      // A handler that returns nothing is a backend that answers without a body.
      answer = { t: 'result', req: 0, ...toContent(value === undefined ? null : value, `the answer to ${method}`) };
    } catch (error) {
      const isMeant = isMoorlineError(error) && failures.test(error.code);
      if (!isMeant && this.isOpen(open)) this.report(error);
      answer = isMeant ? failure(error.code, error.message) : failure('call.failed', "the app's backend failed; it may have carried the call out");
    }
    this.clock.after(line.delay, () => this.finish(open, answer));
  }

  /** Answers, if somebody still waits. */
  private finish(open: Open, frame: unknown): void {
    const call = open.question.frame.req;
    if (!this.isOpen(open)) return;
    this.take(call);
    this.answer(call, frame);
  }

  /** Whether somebody waits. Another server process numbers its calls anew. */
  private isOpen(open: Open): boolean {
    return this.open.get(open.question.frame.req) === open;
  }

  private take(call: number): Open | undefined {
    const open = this.open.get(call);
    open?.stop();
    this.open.delete(call);
    return open;
  }
}

function failure(code: string, message: string): unknown {
  return { t: 'error', req: 0, code, message, retry: false };
}

function fits(pattern: string, method: string): boolean {
  return pattern.endsWith('*') ? method.startsWith(pattern.slice(0, -1)) : method === pattern;
}
