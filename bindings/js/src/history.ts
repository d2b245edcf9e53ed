import type { Range } from './core/calls.js';
import { malformed } from './errors.js';
import { checkObject, timeOf, whole } from './options.js';

/** A part of a channel's log: the newest messages, or those beside an offset or a time. */
export interface HistoryQuery {
  /** The newest messages before this offset, or before a time. */
  readonly before?: number | { readonly time: number | Date };
  /** The oldest messages after this offset, or at or after a time. */
  readonly after?: number | { readonly time: number | Date };
  /** At most so many: 1 to 256 (default 50). */
  readonly limit?: number;
}

export function rangeOf(query: HistoryQuery): Range {
  checkObject(query, 'history');
  const { before, after, limit } = query;
  if (before !== undefined && after !== undefined) throw malformed('either `before` or `after`, not both');
  if (limit !== undefined) whole(limit, 'limit', 1, 256);
  const [kind, bound] = after === undefined ? [2, before] : [1, after];
  if (bound === undefined) return [0];
  return typeof bound === 'object' && bound !== null ? [kind + 2, timeOf(bound.time)] : [kind, whole(bound, kind === 1 ? 'after' : 'before')];
}
