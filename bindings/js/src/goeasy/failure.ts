import { isMoorlineError } from '../errors.js';
import type { Callbacks, GoEasyError, GoEasyResult } from './types.js';

export const ok: GoEasyResult = { code: 200, content: 'ok' };

export function failure(code: number, content: string): GoEasyError {
  return Object.assign(new Error(content), { code, content });
}

/** What GoEasy would say to an error. */
export function failureOf(error: unknown): GoEasyError {
  if (isFailure(error)) return error;
  if (!isMoorlineError(error)) return failure(400, String(error));
  const { code, message } = error;
  const text = `${code}: ${message}`;
  if (code === 'channel.denied' || code.startsWith('auth.') || code === 'client.signed_out') return failure(401, text);
  if (error.origin === 'transport' || error.retryable || code === 'client.closed' || code === 'publish.uncertain') return failure(408, text);
  return failure(400, text);
}

/** Hands a failure to whoever asked; thrown where nobody takes it. */
export function fail(options: Callbacks<never> | undefined, error: GoEasyError): void {
  if (!options?.onFailed) throw error;
  options.onFailed(error);
}

/** Runs what checks and begins a call: what it throws is the call's failure. What it returns is done after that. */
export function begin(options: Callbacks<never> | undefined, run: () => (() => void) | void): void {
  let then: (() => void) | void;
  try {
    then = run();
  } catch (error) {
    return fail(options, failureOf(error));
  }
  then?.();
}

function isFailure(error: unknown): error is GoEasyError {
  return error instanceof Error && 'content' in error;
}
