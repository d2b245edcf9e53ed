import { codes, type KnownErrorCode } from './codes.gen.js';

/** A stable code such as `auth.expired`. A newer server may send codes that this version does not know. */
export type ErrorCode = KnownErrorCode | (string & {});

/** Who an error comes from. */
export type ErrorOrigin = 'client' | 'server' | 'transport';

const brand = 'moorline.error';

/** What went wrong: a stable code, and a sentence that says what to do. */
export class MoorlineError extends Error {
  override readonly name: string = 'MoorlineError';
  /** A stable code, such as `auth.expired`. */
  readonly code: ErrorCode;
  /** The code's stable number: 1xx client, 2xx transport, 3xx auth, 4xx request, 5xx server, 6xx continuity, 7xx limits; 0 for a code of a newer server. */
  readonly number: number;
  /** Whether the same call can succeed later without being changed. */
  readonly retryable: boolean;
  /** Who says so. */
  readonly origin: ErrorOrigin;
  /** What it comes from, if anything. */
  readonly cause?: unknown;

  constructor(code: ErrorCode, message: string, origin: ErrorOrigin = 'client', cause?: unknown) {
    super(message);
    const known = codes.find((entry) => entry[1] === code);
    this.code = code;
    this.number = known ? known[0] : 0;
    this.retryable = known ? known[2] : false;
    this.origin = origin;
    if (cause !== undefined) this.cause = cause;
    Object.defineProperty(this, brand, { value: true });
  }
}

/** Tells whether a value is an error of this library, also of another copy of it. */
export function isMoorlineError(value: unknown): value is MoorlineError {
  return typeof value === 'object' && value !== null && (value as Record<string, unknown>)[brand] === true;
}

/** The name of a code that crosses as a number. */
export function codeOf(number: number): ErrorCode {
  const known = codes.find((entry) => entry[0] === number);
  return known ? known[1] : `code.${number}`;
}

export function malformed(message: string, cause?: unknown): MoorlineError {
  return new MoorlineError('request.malformed', message, 'client', cause);
}

export function closedError(): MoorlineError {
  return new MoorlineError('client.closed', 'the client is closed');
}

/** Makes an error of what a callback of the app threw. */
export function wrap(code: ErrorCode, cause: unknown, origin: ErrorOrigin = 'client'): MoorlineError {
  if (isMoorlineError(cause)) return cause;
  return new MoorlineError(code, messageOf(cause), origin, cause);
}

/** What a thrown value says. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return 'something that says nothing';
  }
}
