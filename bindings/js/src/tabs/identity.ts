import type { TokenProvider } from '../engine.js';
import { MoorlineError, malformed } from '../errors.js';
import type { Store } from '../host/host.js';
import { aloneIn } from './alone.js';
import type { TabEnvironment } from './environment.js';
import { tabProtocol } from './wire.js';

/** Which tabs share, and what. */
export interface Identified {
  readonly env: TabEnvironment;
  /** The group's name, and its store's: the same in tabs of the same user at the same server that speak the same protocol. */
  readonly name: string;
  /** This tab's own. */
  readonly tab: string;
  readonly store: () => Store;
  readonly token: TokenProvider | undefined;
}

/** What a tab is told apart by. */
export interface Identity {
  readonly url: string;
  readonly user: string | undefined;
  readonly token: string | TokenProvider | undefined;
  /** The store of a group of tabs, by its name. */
  readonly store: (name: string) => Store;
  /** The store of a tab that is for itself. */
  readonly own: () => Store;
  readonly shared: string | undefined;
  readonly tab: string;
  readonly report: (error: unknown) => void;
}

/** So long a token that was fetched to know who it is for serves to connect, too, ms. */
const freshness = 10_000;

/** Who a token is for, if it says so: a JWT with a `sub`, or a token for servers in development. */
export function holderOf(token: unknown): string | undefined {
  if (token === null || token === undefined) return '';
  if (typeof token !== 'string') return undefined;
  if (token.startsWith('dev:')) return token;
  try {
    const text = atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/'));
    const { sub, aud } = JSON.parse(text) as { sub?: unknown; aud?: unknown };
    return typeof sub === 'string' ? JSON.stringify([sub, aud]) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Finds the group of a client. Its token is asked for, unless the app names the user. Where nothing says who that is, or the
 * browser lets this page share nothing, the tab is for itself.
 */
export async function identify(env: TabEnvironment, from: Identity, protocol = tabProtocol): Promise<Identified> {
  const { token, user, tab, report } = from;
  const provider = typeof token === 'function' ? token : undefined;
  let first = provider && user === undefined ? await provider({ reason: 'connect' }) : undefined;
  const until = env.now() + freshness;
  const holder = user ?? holderOf(provider ? first : token);
  if (holder === undefined) report(malformed('the token names no user: only `shareTabs(user)` can share the connection between tabs; this tab is for itself'));
  const checked: TokenProvider = async (request) => {
    const text = (env.now() < until ? first : undefined) ?? (await provider!(request));
    first = undefined;
    if (user === undefined && holder !== undefined && typeof text === 'string' && (holderOf(text) ?? holder) !== holder) {
      throw new MoorlineError('auth.invalid', 'the token is for another user than this client: close it, and make a new one');
    }
    return text;
  };
  const who = { tab, token: provider && checked };
  const isShared = holder !== undefined && (await canShare(env));
  if (!isShared) return { ...who, env: aloneIn(env), name: 'alone', store: from.own };
  const name = `moorline-${protocol}-${await env.digest(JSON.stringify([from.url, holder, from.shared]))}`;
  return { ...who, env, name, store: () => from.store(name) };
}

/** Pages such as those of a sandboxed frame have locks that they may not use. */
function canShare(env: TabEnvironment): Promise<boolean> {
  return env.locks.query().then(
    () => true,
    () => false,
  );
}
