import Taro from '@tarojs/taro';
import { createClient } from 'moorline/taro';

/** The client of a user, with a store of their own. A real app asks its backend for the token; `dev:` is what a server in development takes. */
export function clientFor(user) {
  return createClient({ url: MOORLINE_URL, token: `dev:${user}`, taro: Taro, store: (host) => host.store(`moorline:${user}`) });
}
