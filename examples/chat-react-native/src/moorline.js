import { AppState } from 'react-native';
import { createClient } from 'moorline';

// On a phone: the address of your machine, not 127.0.0.1 (the Android emulator's is 10.0.2.2).
const url = 'ws://127.0.0.1:8000/ws';

/** The client of a user, with a store of their own. Give it `storage` (AsyncStorage) and `netInfo` where your app has them: what waits then outlives the app.
 * A real app asks its backend for the token; `dev:` is what a server in development takes. */
export function clientFor(user) {
  return createClient({ url, token: `dev:${user}`, appState: AppState, store: (host) => host.store(`moorline:${user}`) });
}
