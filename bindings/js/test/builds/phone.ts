import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { ground } from '../platforms/sim/ground.js';
import { Machine } from '../platforms/sim/machine.js';
import { Tab } from './page.js';
import { type App, startApp } from './service.js';

/** The server that the examples are built for. */
const built = 'ws://127.0.0.1:8000/ws';

/** How the script of a page reaches the frame. */
interface View {
  readonly __posted: (message: object) => void;
}

/** A phone with an app of uni-app: its page in Chromium, in place of a webview, its script beside it, in V8. */
export class Phone extends Tab {
  readonly machine: Machine;
  /** What page and script have said to a console, and what was thrown in the page: nothing, where all goes well. */
  readonly said: string[] = [];
  private posted: ((message: object) => void) | undefined;
  private sent = Promise.resolve();

  private constructor(page: Page, server: string) {
    super(page);
    // Where the build thinks its server is, there is this one.
    this.machine = new Machine({ ...ground, open: (url, ...rest) => ground.open(url.replace(built, server), ...rest) });
  }

  static async start(browser: Browser, server: string, app: Pick<App, 'folder' | 'layer' | 'os'>): Promise<Phone> {
    const context = await browser.newContext({ viewport: { width: 390, height: 800 }, hasTouch: true });
    const phone = new Phone(await context.newPage(), server);
    await phone.load(app);
    return phone;
  }

  private async load(app: Pick<App, 'folder' | 'layer' | 'os'>): Promise<void> {
    const { page, machine, said } = this;
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error.stack)));
    await page.exposeFunction('__posted', (message: object) => this.posted?.(message));
    await page.addInitScript(plusOfView, app.os);
    await page.goto(pathToFileURL(join(app.folder, '__uniappview.html')).href);
    this.posted = startApp({ ...app, machine, evaluate: (script) => this.evaluate(script), say: (line) => said.push(line) });
  }

  /** Scripts run in the page one after the other. */
  private evaluate(script: string): void {
    this.sent = this.sent.then(() => this.page.evaluate<void>(script));
  }

  /** Ends the app: from now on nothing of it runs. */
  async close(): Promise<void> {
    this.machine.suspend(true);
    await this.sent;
    await this.page.context().close();
  }
}

/** What the script of the page finds of HTML5+. */
function plusOfView(name: string): void {
  const webview = { id: '1', getStyle: () => ({}), setStyle: () => undefined, setSoftinputTemporary: () => undefined };
  const postMessageToUniNView = (message: object): void => (window as unknown as View).__posted(message);
  Object.assign(window, { plus: { os: { name, version: '17' }, webview: { currentWebview: () => webview, postMessageToUniNView } } });
}
