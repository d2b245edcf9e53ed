import type { Store } from '../host/host.js';
import type { TabEnvironment } from './environment.js';

/** What a tab has that is for itself: it is told nothing, and has every lock that it has not taken. */
export function aloneIn(env: TabEnvironment): TabEnvironment {
  const turns = new Map<string, Promise<void>>();
  return {
    ...env,
    away: undefined,
    locks: {
      request(name, { signal }, held) {
        const turn = (turns.get(name) ?? Promise.resolve()).then(() => (signal?.aborted ? undefined : held()));
        turns.set(name, turn);
        return turn;
      },
      query: async () => ({ held: [...turns.keys()].map((name) => ({ name, clientId: '' })) }),
    },
    open: () => ({ post: () => undefined, close: () => undefined }),
  };
}

/** A store as a client has it that is for itself: nobody is to be cut off from it. */
export function unshared(store: Store): Store {
  return {
    load: () => store.load(),
    commit: (batch) => store.commit(batch),
    close: () => store.close?.(),
    get isLasting() {
      return store.isLasting !== false;
    },
  };
}
