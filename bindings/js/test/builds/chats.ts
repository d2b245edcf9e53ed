import { expect } from 'vitest';

export interface Item {
  readonly who: string;
  readonly text: string;
  readonly receipt?: string | undefined;
}

type Later<T> = T | Promise<T>;

/** How a person sees and uses the chat on a platform. */
export interface Screen<App> {
  /** Whether an element is there. */
  isReady(app: App, id: string): Later<boolean>;
  type(app: App, id: string, text: string): Later<unknown>;
  tap(app: App, id: string): Later<unknown>;
  banner(app: App): Later<string | undefined>;
  items(app: App): Later<readonly Item[]>;
}

/** What holds an app and looks at it until something shows. */
interface Running {
  until<T>(look: () => Later<T | undefined>): Promise<T>;
}

/** What people do in the lobby, and how they find what was written. */
export function lobby<App extends Running>(open: () => Later<App>, screen: Screen<App>) {
  return {
    async enter(name: string): Promise<App> {
      const app = await open();
      await app.until(async () => ((await screen.isReady(app, 'name')) ? true : undefined));
      await screen.type(app, 'name', name);
      await screen.tap(app, 'enter');
      await app.until(async () => ((await screen.banner(app))?.startsWith('Online') ? true : undefined));
      return app;
    },
    async say(app: App, text: string): Promise<void> {
      await screen.type(app, 'text', text);
      await screen.tap(app, 'send');
    },
    find: (app: App, is: (item: Item) => boolean): Promise<Item> => app.until(async () => (await screen.items(app)).find(is)),
  };
}

/** Two people enter the lobby, see each other, and write. */
export async function chats<App extends Running>(open: () => Later<App>, screen: Screen<App>): Promise<void> {
  const { enter, say, find } = lobby(open, screen);
  const [ann, bo] = [await enter('ann'), await enter('bo')];
  for (const app of [ann, bo]) await app.until(async () => ((await screen.banner(app)) === 'Online, 2 here' ? true : undefined));
  await say(ann, '你好, bo');
  expect((await find(bo, ({ text }) => text === '你好, bo')).who).toBe('ann');
  await find(ann, ({ text, receipt }) => text === '你好, bo' && receipt === 'stored');
  await say(bo, 'hi');
  expect((await find(ann, ({ text }) => text === 'hi')).who).toBe('bo');
  expect((await screen.items(ann)).filter(({ text }) => text === '你好, bo')).toHaveLength(1);
}
