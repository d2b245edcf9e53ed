import { createClient } from 'moorline/uni';

const url = import.meta.env.VITE_MOORLINE_URL || 'ws://127.0.0.1:8000/ws';

/** The client of a user, with a store of their own. A real app asks its backend for the token; `dev:` is what a server in development takes. */
export function clientFor(user) {
  return createClient({ url, token: `dev:${user}`, store: (host) => host.store(`moorline:${user}`) });
}
