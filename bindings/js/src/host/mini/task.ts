import type { Socket, SocketEvents } from '../host.js';

/** What is used of a SocketTask. */
export interface SocketTask {
  send(options: { readonly data: unknown; readonly isBuffer?: boolean; readonly fail: (why?: Failure) => void }): void;
  close(options: { readonly code: number; readonly reason: string; readonly fail: () => void }): void;
  onOpen(handler: () => void): void;
  onMessage(handler: (message: { readonly data: unknown }) => void): void;
  onError(handler: (why?: Failure) => void): void;
  onClose(handler: (closed?: { readonly code?: number | undefined }) => void): void;
}

/** How the platforms say what went wrong. */
export interface Failure {
  readonly errMsg?: string;
  readonly errorMessage?: string;
  readonly message?: string;
  readonly errNo?: number;
}

/** What the platforms differ in. */
export interface TaskOptions {
  /** Opens it, and tells `fail` of a call that was refused. A platform may give the task later. */
  open(fail: (why?: Failure) => void): SocketTask | undefined | PromiseLike<SocketTask | undefined>;
  /** Whether bytes cross as base64, marked with `isBuffer`. */
  readonly encode?: (bytes: Uint8Array) => string;
  /** Makes a frame of what a message carries. */
  readonly decode: (data: unknown) => Uint8Array | string;
}

/**
 * A socket over a SocketTask. The platforms' own ending is not waited for: `onClose` may never come after a time in the background,
 * nor after `close()`.
 */
export function openTask(options: TaskOptions, events: SocketEvents): Socket {
  let task: SocketTask | undefined;
  let isOver = false;
  const later = (act: () => void): void => void Promise.resolve().then(act);
  const over = (code?: number, reason?: string): void => {
    if (isOver) return;
    isOver = true;
    later(() => events.closed(code, reason));
  };
  const hangUp = (code: number, reason: string): void => {
    try {
      task?.close({ code, reason, fail: () => undefined });
    } catch {
      // It was never open, or is closed already.
    }
  };
  /** It is of no use any more; closing it gives its place among the few sockets that an app may have free. */
  const broken = (why?: Failure): void => {
    if (isOver) return;
    over(undefined, reasonOf(why));
    hangUp(1000, '');
  };
  const started = (made: SocketTask | undefined): void => {
    task = made;
    if (!made) return broken({ errMsg: 'the platform gave no socket' });
    if (isOver) return hangUp(1000, '');
    const alive = (act: () => void): void => void (isOver || act());
    // A platform may not close what is not open yet: it opens all the same.
    made.onOpen(() => (isOver ? hangUp(1000, '') : events.opened()));
    made.onMessage(({ data }) => alive(() => events.frame(options.decode(data))));
    made.onError((why) => broken(why));
    // 1005 and 1006 are not codes that a peer sent; 1000 is also what platforms say when they close a socket in the background.
    made.onClose((closed) => over(closed?.code !== undefined && closed.code > 1000 && closed.code !== 1005 && closed.code !== 1006 ? closed.code : undefined));
  };
  try {
    const made = options.open((why) => broken(why));
    if (isThenable(made)) made.then(started, broken);
    else started(made);
  } catch (error) {
    broken(error as Failure);
  }
  return {
    send(frame) {
      const data = typeof frame === 'string' ? frame : options.encode ? options.encode(frame) : exactly(frame);
      const isBuffer = typeof frame !== 'string' && options.encode ? { isBuffer: true } : {};
      if (!isOver) task?.send({ data, ...isBuffer, fail: broken });
    },
    buffered: undefined,
    close(code, reason) {
      if (isOver) return;
      over();
      hangUp(code, reason);
    },
  };
}

/** Tells a promise, also one of another realm or of a polyfill. */
export function isThenable<T>(made: T | PromiseLike<T>): made is PromiseLike<T> {
  return typeof (made as PromiseLike<T> | undefined | null)?.then === 'function';
}

/** A copy of these bytes alone: the buffer that they lie in holds others, too. */
export function exactly(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}

/** A frame of what most platforms give: a text or a buffer, which may be of another realm. */
export function frameOf(data: unknown): Uint8Array | string {
  return typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer);
}

export function reasonOf(why: Failure | undefined): string {
  return why?.errMsg ?? why?.errorMessage ?? why?.message ?? String(why?.errNo ?? 'the platform does not say why');
}
