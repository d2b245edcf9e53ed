import { expect } from 'vitest';

export interface Item {
  readonly who: string;
  readonly text: string;
  readonly receipt: string | undefined;
}

/** How a person sees and uses the chat on a platform. */
export interface Screen<App> {
  /** Whether an element is there. */
  isReady(app: App, id: string): boolean;
  type(app: App, id: string, text: string): void;
  tap(app: App, id: string): void;
  banner(app: App): string | undefined;
  items(app: App): readonly Item[];
}

/** What holds an app and tells when something of it has changed. */
interface Running {
  until<T>(look: () => T | undefined): Promise<T>;
}

/** Two people enter the lobby, see each other, and write. */
export async function chats<App extends Running>(open: () => App, screen: Screen<App>): Promise<void> {
  const enter = async (name: string): Promise<App> => {
    const app = open();
    await app.until(() => (screen.isReady(app, 'name') ? true : undefined));
    screen.type(app, 'name', name);
    screen.tap(app, 'enter');
    await app.until(() => (screen.banner(app)?.startsWith('Online') ? true : undefined));
    return app;
  };
  const [ann, bo] = [await enter('ann'), await enter('bo')];
  for (const app of [ann, bo]) await app.until(() => (screen.banner(app) === 'Online, 2 here' ? true : undefined));
  const say = (app: App, text: string): void => {
    screen.type(app, 'text', text);
    screen.tap(app, 'send');
  };
  say(ann, '你好, bo');
  const heard = await bo.until(() => screen.items(bo).find(({ text }) => text === '你好, bo'));
  expect(heard.who).toBe('ann');
  await ann.until(() => screen.items(ann).find(({ text, receipt }) => text === '你好, bo' && receipt === 'stored'));
  say(bo, 'hi');
  expect((await ann.until(() => screen.items(ann).find(({ text }) => text === 'hi'))).who).toBe('bo');
  expect(screen.items(ann).filter(({ text }) => text === '你好, bo')).toHaveLength(1);
}
