import { fromBase64 } from './base64.js';
import { toContent } from './content.js';
import type { Grants, LoggedMessage, Published, PublishOptions, ServerConnection, ServerMember, TestServerOptions } from './types.js';

/** What the server is asked. */
type Ask = (question: unknown) => unknown;

type Known = Omit<ServerConnection, 'queued'> & { readonly conn: number };

/** The server as its own backend sees it: what is published without a client, and what is in the log. */
export class Backend {
  private published = 0;

  constructor(private readonly ask: Ask) {}

  publish(channel: string, payload: unknown, options: PublishOptions): Published {
    const { user, id = `backend-${++this.published}`, headers, ttl, qos = 1 } = options;
    const frame = { t: 'publish', req: 1, channel, qos, id, headers, ttl, ...toContent(payload) };
    const { epoch, offset, duplicate } = this.frame(frame, user) as Published;
    return offset === undefined ? { epoch, duplicate } : { epoch, offset, duplicate };
  }

  messages(channel: string): LoggedMessage[] {
    const page = this.frame({ t: 'history', req: 1, channel, after: 0 }) as { messages: (LoggedMessage & { bin?: string; prev?: number })[] };
    return page.messages.map(({ bin, prev: _, headers = {}, ...message }) => ({
      ...message,
      headers,
      ...(bin === undefined ? {} : { bytes: fromBase64(bin) }),
    }));
  }

  members(channel: string): ServerMember[] {
    const answer = this.frame({ t: 'presence', req: 1, channel, op: 'get' }) as { members?: ServerMember[] };
    return answer.members ?? [];
  }

  connections(): Known[] {
    const all = this.ask('connections') as Record<string, unknown>[];
    const known = (entry: Record<string, unknown>) => Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== null));
    return all.map(known) as unknown as Known[];
  }

  private frame(frame: unknown, user?: string): unknown {
    return this.ask({ frame: { user, frame } });
  }
}

/** Grants as tokens say them. */
export function grantsOf(grants: Grants): unknown[] {
  return Object.entries(grants).map(([match, can]) => ({ match, can }));
}

/** The settings as the server takes them. */
export function settingsOf(options: TestServerOptions): unknown {
  const { seed = 0, users, rules = [], limits = {}, calls } = options;
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`the seed is a whole number from 0 to 2^53 - 1, not ${seed}`);
  const grants = users && Object.fromEntries(Object.entries(users).map(([user, of]) => [user, grantsOf(of)]));
  return { seed, users: grants, calls, channels: rules, limits };
}
