import type { Machine } from './machine.js';

/** What vendors differ in; each says in vendors.ts where it is described. */
export interface Quirks {
  /** Sockets that may be open at once. */
  readonly sockets: number;
  /** What `connectSocket` returns for a task. */
  readonly gives: (task: object, options: Options) => unknown;
  /** How a frame reaches the app. */
  readonly deliver: (data: Uint8Array | string) => unknown;
  /** What is sent of what the app gives; undefined: it is refused. */
  readonly take: (sent: Sent) => Uint8Array | string | undefined;
  /** How it says what went wrong. */
  readonly failure: (text: string) => object;
  /** What becomes of reading a key that is not there. */
  readonly missing: 'fails' | 'null';
  /** Whether `onClose` follows a close by the app itself. */
  readonly tellsOwnClose: boolean;
  /** Whether a socket that is not open yet is closed; if not, it opens later. */
  readonly closesEarly: boolean;
  /** Whether a socket is taken for the one before: then it is not opened, and nothing comes of it. */
  readonly isSame?: () => boolean;
}

interface Answered {
  readonly success?: (answer: object) => void;
  readonly fail?: (why: object) => void;
  readonly complete?: (answer: object) => void;
}
type Options = Answered & { readonly url: string; readonly protocols?: readonly string[]; readonly multiple?: boolean };
type Sent = Answered & { readonly data: unknown; readonly isBuffer?: boolean };
type Handlers = Partial<{ open: () => void; message: (message: { data: unknown }) => void; error: (why: object) => void; close: (closed: { code: number; reason: string }) => void }>;

/** The interface that all vendors have, with the quirks of one. */
export function vendorApi(machine: Machine, quirks: Quirks) {
  const answer = (options: Answered | undefined, why?: string, value: object = {}): void => {
    machine.setTimeout(() => {
      if (why !== undefined) options?.fail?.(quirks.failure(why));
      else options?.success?.(value);
      options?.complete?.(value);
    });
  };
  const heard = <T>(set: Set<T>) => [(handler: T) => void set.add(handler), (handler: T) => void set.delete(handler)] as const;
  const [onAppShow, offAppShow] = heard(machine.shown);
  const [onAppHide, offAppHide] = heard(machine.hidden);
  const [onNetworkStatusChange, offNetworkStatusChange] = heard(machine.networks);
  return {
    onAppShow, offAppShow, onAppHide, offAppHide, onNetworkStatusChange, offNetworkStatusChange,
    connectSocket: (options: Options): unknown => quirks.gives(connect(machine, quirks, options, answer), options),
    setStorage: (options: Answered & { key: string; data: string }) => answer(options, machine.set(options.key, options.data)),
    getStorage(options: Answered & { key: string }): void {
      const data = machine.storage.get(options.key);
      answer(options, data === undefined && quirks.missing === 'fails' ? 'data not found' : undefined, { data: data ?? null });
    },
    removeStorage(options: Answered & { key: string }): void {
      machine.storage.delete(options.key);
      answer(options);
    },
    getStorageInfo: (options: Answered) => answer(options, undefined, { keys: [...machine.storage.keys()] }),
  };
}

function connect(machine: Machine, quirks: Quirks, options: Options, answer: (options: Answered, why?: string) => void): object {
  const handlers: Handlers = {};
  let state: 'connecting' | 'open' | 'closed' = 'connecting';
  let isForgotten = false;
  const refusal = !/^wss?:\/\/\S+$/.test(options.url)
    ? 'invalid url'
    : !machine.hasManySockets && machine.openSockets >= quirks.sockets ? `exceed max websocket connect count ${quirks.sockets}` : undefined;
  answer(options, refusal);
  const tell = (act: () => void): void => machine.enter(() => void (isForgotten || act()));
  const socket = refusal !== undefined || quirks.isSame?.() ? undefined : machine.ground.open(options.url, options.protocols ?? [], {
    opened: () => tell(() => {
      state = 'open';
      handlers.open?.();
    }),
    frame: (data) => tell(() => handlers.message?.({ data: quirks.deliver(data) })),
    closed: (code, reason, failed) => {
      release?.();
      tell(() => {
        state = 'closed';
        if (failed) handlers.error?.(quirks.failure(reason));
        handlers.close?.({ code, reason });
      });
    },
  });
  const release = socket && machine.track(socket, () => (isForgotten = true));
  return {
    send(sent: Sent): void {
      const data = socket && state === 'open' ? quirks.take(sent) : undefined;
      if (data !== undefined) socket!.send(data);
      answer(sent, data === undefined ? 'SocketTask.readyState is not OPEN' : undefined);
    },
    close(how: Answered & { code?: number; reason?: string }): void {
      if (state === 'connecting' && !quirks.closesEarly) return answer(how);
      state = 'closed';
      if (!quirks.tellsOwnClose) isForgotten = true;
      release?.();
      socket?.close(how.code ?? 1000, how.reason ?? '');
      answer(how);
    },
    onOpen: (handler: Handlers['open'] & object) => void (handlers.open = handler),
    onMessage: (handler: Handlers['message'] & object) => void (handlers.message = handler),
    onError: (handler: Handlers['error'] & object) => void (handlers.error = handler),
    onClose: (handler: Handlers['close'] & object) => void (handlers.close = handler),
  };
}

/** What is sent where texts and buffers are taken: of a buffer all; a view is no buffer. */
export function takeBuffer({ data }: Sent): Uint8Array | string | undefined {
  if (typeof data === 'string') return data;
  return Object.prototype.toString.call(data) === '[object ArrayBuffer]' ? new Uint8Array(data as ArrayBuffer) : undefined;
}

/** A text, or a buffer of these bytes alone. */
export const bufferOf = (data: Uint8Array | string): ArrayBuffer | string => (typeof data === 'string' ? data : (data.slice().buffer as ArrayBuffer));
