/** What the server says to a request that it refuses. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    /** ms after which the same can succeed. */
    readonly after?: number,
  ) {
    super(detail);
  }
}

export interface Who {
  readonly name: string;
  readonly read_only: boolean;
  /** ms since 1970. */
  readonly expires: number;
  /** The URL of WebSockets, where it is not that of the page. */
  readonly socket?: string;
}

export interface AppNow {
  readonly app: string;
  readonly connections: number;
  readonly online: number;
  readonly members: number;
  /** Per second. */
  readonly published: number;
  readonly delivered: number;
  readonly behind: number;
  readonly published_total: number;
}

export interface Overview {
  readonly version: string;
  readonly since: number;
  readonly now: number;
  readonly durability: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  readonly apps: readonly AppNow[];
}

/** A moment: as `columns` say; null where there is nothing to say. */
export type Row = readonly (number | null)[];

export interface ApiKey {
  readonly name: string;
  /** The beginning of its hash. */
  readonly hash: string;
  readonly expires?: number;
  readonly expired: boolean;
}

export interface App {
  readonly app: string;
  readonly anonymous: boolean;
  readonly api_keys: readonly ApiKey[];
  readonly token_keys: readonly { readonly id?: string; readonly algorithm: string }[];
}

export interface ChannelSeen {
  readonly channel: string;
  readonly epoch: string;
  readonly first: number;
  readonly head: number;
  readonly members: number;
  readonly messages: number;
  readonly bytes: number;
  readonly subscribers: number;
}

export interface Member {
  readonly user: string;
  readonly state?: unknown;
  readonly since: number;
}

export interface ConnectionSeen {
  readonly user?: string;
  readonly device?: string;
  readonly address?: string;
  readonly expires?: number;
  readonly background: boolean;
  readonly channels: readonly string[];
  readonly subscriptions: number;
  readonly behind: number;
}

export interface LogSeen {
  readonly durability: string;
  readonly disk?: {
    readonly directory: string;
    readonly segments: number;
    readonly segment_bytes: number;
    readonly tables: number;
    readonly bytes: number;
    readonly free: number;
    readonly size: number;
  };
  readonly oldest?: number;
  readonly channels: number;
  readonly producers: number;
  readonly cursors: number;
  readonly sync: { readonly count: number; readonly p50?: number; readonly p99?: number; readonly most?: number };
}

/** Hears that the session is over. */
export const session = new EventTarget();

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
  const response = await fetch(`/console/api${path}`, { method, headers, body: body === undefined ? null : JSON.stringify(body), cache: 'no-store' });
  if (response.status === 204) return undefined as T;
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer as T;
  const { code = '', detail = `The server answered ${response.status}.`, after } = (answer ?? {}) as { code?: string; detail?: string; after?: number };
  if (response.status === 401 && path !== '/session') session.dispatchEvent(new Event('over'));
  throw new Refused(response.status, code, detail, after);
}

const part = encodeURIComponent;

export const api = {
  who: () => ask<Who>('GET', '/session'),
  login: (key: string) => ask<Who>('POST', '/session', { key }),
  logout: () => ask<void>('DELETE', '/session'),
  overview: (after: number) => ask<Overview>('GET', `/overview?after=${after}`),
  apps: () => ask<{ apps: readonly App[]; any: boolean }>('GET', '/apps'),
  log: () => ask<LogSeen>('GET', '/log'),
  channels: (app: string, prefix: string, after: string | undefined, limit: number) =>
    ask<{ channels: readonly ChannelSeen[]; more: boolean }>(
      'GET',
      `/apps/${part(app)}/channels?limit=${limit}&prefix=${part(prefix)}${after === undefined ? '' : `&after=${part(after)}`}`,
    ),
  presence: (app: string, channel: string) =>
    ask<{ count: number; members: readonly Member[]; cursor?: string }>('GET', `/apps/${part(app)}/channels/${part(channel)}/presence`),
  publish: (app: string, message: object) => ask<{ offset?: number; duplicate: boolean }>('POST', `/apps/${part(app)}/messages`, message),
  connections: (app: string, prefix: string) =>
    ask<{ connections: readonly ConnectionSeen[]; total: number }>('GET', `/apps/${part(app)}/connections?prefix=${part(prefix)}`),
  connectionsOf: (app: string, user: string) =>
    ask<{ connections: readonly ConnectionSeen[]; total: number }>('GET', `/apps/${part(app)}/users/${part(user)}/connections`),
  disconnect: (app: string, user: string) => ask<{ connections: number }>('DELETE', `/apps/${part(app)}/users/${part(user)}/connections`),
  token: (app: string) => ask<{ token: string }>('POST', `/apps/${part(app)}/token`),
};

/** What to tell people about an error. */
export const saying = (error: unknown): string =>
  error instanceof Refused ? error.message : error instanceof TypeError ? 'The server cannot be reached.' : String(error);
