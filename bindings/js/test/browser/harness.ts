import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CDPSession, type Page as ChromiumPage, chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { Builder, Capabilities } from 'selenium-webdriver';
import { ServiceBuilder } from 'selenium-webdriver/safari.js';

export { Lab, type Served } from './lab.js';

/** The engines of today's browsers. */
export type Engine = 'chromium' | 'firefox' | 'webkit';

/** A page of a browser. */
export interface Page {
  /** Evaluates an expression, and awaits it if it is a promise. Its value crosses as JSON. */
  evaluate<T>(expression: string): Promise<T>;
  goto(url: string): Promise<void>;
  reload(): Promise<void>;
  close(): Promise<void>;
  /** Chromium's own page and protocol. */
  readonly chromium?: { readonly page: ChromiumPage; readonly cdp: CDPSession };
}

/** A real browser, with a profile of its own. */
export interface Browser {
  readonly engine: Engine;
  readonly version: string;
  /** Opens a page. Pages of one browser share its storage. WebKit has one at a time: opening another reuses it. */
  open(url: string): Promise<Page>;
  close(): Promise<void>;
}

/** Where the browsers are. */
export const binaries = {
  chromium: process.env['MOORLINE_CHROMIUM'] ?? '/usr/bin/chromium',
  firefox: process.env['MOORLINE_FIREFOX'] ?? '/usr/bin/firefox-esr',
  webkit: process.env['MOORLINE_WEBKIT'] ?? '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser',
};

const webDriver = '/usr/bin/WebKitWebDriver';

/** Arguments of a browser. */
export interface Arguments {
  readonly add?: readonly string[];
  /** Arguments that Playwright would give it. */
  readonly omit?: readonly string[];
}

/** Starts a browser, Chromium with further arguments. `cargo xtask browsers` installs them. */
export function launch(engine: Engine, args: Arguments = {}): Promise<Browser> {
  const binary = binaries[engine];
  if (!existsSync(binary)) throw new Error(`${binary} is missing: cargo xtask browsers installs it, or MOORLINE_${engine.toUpperCase()} names another`);
  return { chromium: launchChromium, firefox: launchFirefox, webkit: launchWebkit }[engine](binary, args);
}

async function launchChromium(executablePath: string, { add = [], omit = [] }: Arguments): Promise<Browser> {
  // A profile on the disk, as users have one: an incognito one has other quotas. All pages share it, as tabs do.
  const profile = mkdtempSync(join(tmpdir(), 'moorline-chromium-'));
  const context = await chromium.launchPersistentContext(profile, { executablePath, args: ['--no-sandbox', ...add], ignoreDefaultArgs: [...omit] });
  return {
    engine: 'chromium',
    version: context.browser()?.version() ?? 'unknown',
    async open(url) {
      const page = await context.newPage();
      const cdp = await context.newCDPSession(page);
      await page.goto(url);
      return {
        // Playwright's own way needs `eval`, which a page may forbid.
        async evaluate<T>(expression: string) {
          const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
          if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
          return result.value as T;
        },
        goto: (to) => page.goto(to).then(() => undefined),
        reload: () => page.reload().then(() => undefined),
        close: () => page.close(),
        chromium: { page, cdp },
      };
    },
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

async function launchFirefox(executablePath: string): Promise<Browser> {
  const browser = await puppeteer.launch({ browser: 'firefox', executablePath, headless: true });
  return {
    engine: 'firefox',
    version: await browser.version(),
    async open(url) {
      const page = await browser.newPage();
      await page.goto(url);
      return {
        // BiDi's own form of a value is not JSON's.
        evaluate: async (expression) => parse(await page.evaluate(`(async () => JSON.stringify(await (${expression})))()`)),
        goto: (url) => page.goto(url).then(() => undefined),
        reload: () => page.reload().then(() => undefined),
        close: () => page.close(),
      };
    },
    close: () => browser.close(),
  };
}

async function launchWebkit(binary: string): Promise<Browser> {
  const screen = await startScreen();
  const service = new ServiceBuilder(webDriver).setEnvironment({ ...process.env, DISPLAY: screen.display } as Record<string, string>).build();
  const stop = async (): Promise<void> => {
    await service.kill();
    screen.process.kill();
  };
  try {
    const wanted = new Capabilities({ browserName: 'MiniBrowser', 'webkitgtk:browserOptions': { binary, args: ['--automation'] } });
    const driver = await new Builder().usingServer(await service.start()).withCapabilities(wanted).build();
    await driver.manage().setTimeouts({ script: 60_000, pageLoad: 60_000 });
    const page: Page = {
      async evaluate(expression) {
        const answer: { value?: string; error?: string } = await driver.executeAsyncScript(
          `const done = arguments[0]; (async () => JSON.stringify(await (${expression})))().then((value) => done({ value }), (error) => done({ error: String(error) }))`,
        );
        if (answer.error !== undefined) throw new Error(answer.error);
        return parse(answer.value);
      },
      goto: (url) => driver.get(url),
      reload: () => driver.navigate().refresh(),
      close: () => driver.get('about:blank'),
    };
    return {
      engine: 'webkit',
      version: String((await driver.getCapabilities()).getBrowserVersion()),
      async open(url) {
        await driver.get(url);
        return page;
      },
      close: () => driver.quit().finally(stop),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function parse<T>(text: unknown): T {
  return (typeof text === 'string' ? JSON.parse(text) : undefined) as T;
}

/** A screen that nobody sees; Xvfb chooses its number. */
async function startScreen(): Promise<{ process: ChildProcess; display: string }> {
  const process = spawn('Xvfb', ['-displayfd', '1', '-screen', '0', '1024x768x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const number = await new Promise<string>((resolve, reject) => {
    createInterface({ input: process.stdout! }).once('line', resolve);
    process.once('error', reject);
    process.once('exit', (code) => reject(new Error(`Xvfb ended with ${code}`)));
  });
  return { process, display: `:${number}` };
}
