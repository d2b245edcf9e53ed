import type { TokenProvider } from '../engine.js';
import { MoorlineError } from '../errors.js';
import type { Store } from '../host/host.js';
import type { TabEnvironment } from './environment.js';
import { tabProtocol } from './wire.js';

/** Which tabs share, and what. */
export interface Identified {
  /** The group's name, and its store's: the same in tabs of the same user at the same server that speak the same protocol. */
  readonly name: string;
  /** This tab's own. */
  readonly tab: string;
  readonly store: () => Store;
  readonly token: TokenProvider | undefined;
}

/** Who a token is for: what a JWT says, else the token itself. */
export function holderOf(token: string | null | undefined): string {
  if (token === null || token === undefined) return '';
  const [, claims, signature] = token.split('.');
  if (claims === undefined || signature === undefined) return token;
  try {
    const text = atob(claims.replace(/-/g, '+').replace(/_/g, '/'));
    const { sub, aud } = JSON.parse(text) as { sub?: unknown; aud?: unknown };
    return sub === undefined ? token : JSON.stringify([sub, aud]);
  } catch {
    return token;
  }
}

/** Finds the group of a client. Its token is asked for, unless the app names the user. */
export async function identify(
  env: TabEnvironment,
  from: { readonly url: string; readonly user: string | undefined; readonly token: string | TokenProvider | undefined; readonly store: (name: string) => Store; readonly shared: string | undefined; readonly tab: string },
  protocol = tabProtocol,
): Promise<Identified> {
  const { token, user } = from;
  const provider = typeof token === 'function' ? token : undefined;
  let first = provider && user === undefined ? await provider({ reason: 'connect' }) : undefined;
  const holder = user ?? holderOf(provider ? first : (token as string | undefined));
  const digest = await env.digest(JSON.stringify([from.url, holder, from.shared]));
  const checked: TokenProvider = async (request) => {
    const text = first ?? (await provider!(request));
    first = undefined;
    if (user === undefined && typeof text === 'string' && holderOf(text) !== holder) {
      throw new MoorlineError('auth.invalid', 'the token is for another user than this client: close it, and make a new one');
    }
    return text;
  };
  const name = `moorline-${protocol}-${digest}`;
  return { name, tab: from.tab, store: () => from.store(name), token: provider && checked };
}
