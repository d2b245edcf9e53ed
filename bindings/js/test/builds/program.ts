import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { Machine } from '../platforms/sim/machine.js';
import { ground } from '../platforms/sim/ground.js';

type Methods = Record<string, (...args: unknown[]) => unknown>;
type Data = Record<string, unknown>;

/** What `Page` and `Component` are given. */
interface Definition extends Record<string, unknown> {
  readonly data?: Data | (() => Data);
  readonly methods?: Methods;
  readonly lifetimes?: Methods;
  readonly pageLifetimes?: Methods;
}

/** A page as the app sees it: `this` of its handlers. */
export interface Page extends Record<string, unknown> {
  data: Data;
}

/** The server that the examples are built for. */
const built = 'ws://127.0.0.1:8000/ws';

/** A vendor's own namespace beside network and storage: as much of it as frameworks ask for when they start. */
const system = {
  brand: 'simulated', model: 'simulated', system: 'simulated 1', platform: 'devtools', version: '8.0.50', SDKVersion: '3.7.0', language: 'en',
  pixelRatio: 2, screenWidth: 375, screenHeight: 800, windowWidth: 375, windowHeight: 700, statusBarHeight: 20, fontSizeSetting: 16,
  theme: 'light', safeArea: { left: 0, right: 375, top: 20, bottom: 780, width: 375, height: 760 }, host: {}, app: 'alipay',
};

/**
 * A mini-program as its build left it, run the way a vendor's base library runs it: `app.js`, then a page; `require` over the files of the
 * package, `App`, `Page` and `Component`, and no globals of a browser. What a page shows is its data; what a person does is an event.
 */
export class Program {
  readonly machine: Machine;
  readonly page: Page;
  private readonly modules = new Map<string, { exports: unknown }>();
  private readonly context: object;
  private definition: Definition | undefined;
  private readonly waiting = new Set<() => void>();

  constructor(
    private readonly folder: string,
    page: string,
    namespace: (machine: Machine) => Record<string, unknown>,
    server: string,
  ) {
    // Where the build thinks its server is, there is this one.
    const machine = (this.machine = new Machine({ ...ground, open: (url, ...rest) => ground.open(url.replace(built, server), ...rest) }));
    const globals = namespace(machine);
    for (const name of Object.keys(globals)) globals[name] = withSystem(globals[name] as object, machine);
    const app: Record<string, unknown> = {};
    const define = (definition: Definition): void => void (this.definition = definition);
    this.context = createContext({
      ...globals,
      App: (options: Methods) => {
        Object.assign(app, options);
        options['onLaunch']?.call(app, { path: page, query: {} });
        options['onShow']?.call(app, { path: page, query: {} });
      },
      Page: define,
      Component: define,
      Behavior: (options: unknown) => options,
      getApp: () => app,
      getCurrentPages: () => (this.page as Page | undefined ? [this.page] : []),
      setTimeout: (fire: () => void, ms?: number) => machine.setTimeout(fire, ms),
      clearTimeout: (timer: number) => machine.clearTimeout(timer),
      setInterval: (fire: () => void, ms: number) => setInterval(() => machine.enter(fire), ms),
      clearInterval: (timer: NodeJS.Timeout) => clearInterval(timer),
      requestAnimationFrame: (fire: () => void) => machine.setTimeout(fire, 16),
      console: { log() {}, info() {}, warn() {}, debug() {}, error: (...args: unknown[]) => console.error(...args) },
      __wxConfig: {},
    });
    runInContext('delete this.WebAssembly; delete this.SharedArrayBuffer; delete this.Atomics;', this.context);
    this.require('app.js');
    this.require(`${page}.js`);
    if (!this.definition) throw new Error(`${page} defines no page`);
    this.page = this.open(this.definition, page);
  }

  /** Looks whenever the page has changed, until something shows. */
  async until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
    for (;;) {
      const changed = new Promise<void>((resolve) => this.waiting.add(resolve));
      const found = await look();
      if (found !== undefined) return found;
      await changed;
    }
  }

  /** Calls a method of the page. */
  call(name: string, ...args: unknown[]): void {
    (this.page[name] as (...args: unknown[]) => unknown).apply(this.page, args);
  }

  private open(definition: Definition, path: string): Page {
    const { data, methods, lifetimes, pageLifetimes, ...rest } = definition;
    const page: Page = { ...rest, ...methods, data: clone(typeof data === 'function' ? data() : (data ?? {})) as Data };
    const changed = (): void => {
      for (const wake of this.waiting) wake();
      this.waiting.clear();
    };
    Object.assign(page, {
      is: path, route: path, options: {}, properties: {}, $page: { fullPath: path }, __wxExparserNodeId__: '1', $viewId: '1',
      setData: (part: Data, done?: () => void) => {
        for (const key of Object.keys(part)) put(page.data, key, clone(part[key]));
        changed();
        done?.call(page);
      },
      getPageId: () => '1', selectComponent: () => null, selectAllComponents: () => [], triggerEvent: () => undefined,
      createSelectorQuery: () => query, groupSetData: (run: () => void) => run(),
    });
    const run = (where: Methods | undefined, name: string, ...args: unknown[]): unknown => where?.[name]?.apply(page, args);
    run(lifetimes, 'created');
    run(lifetimes, 'attached');
    run(page as unknown as Methods, 'onInit', {});
    run(page as unknown as Methods, 'onLoad', {});
    run(page as unknown as Methods, 'onShow');
    run(pageLifetimes, 'show');
    run(lifetimes, 'ready');
    run(page as unknown as Methods, 'onReady');
    return page;
  }

  private require(path: string): unknown {
    const known = this.modules.get(path);
    if (known) return known.exports;
    const module = { exports: {} as unknown };
    this.modules.set(path, module);
    const source = path.endsWith('.json') ? `module.exports = ${readFileSync(join(this.folder, path), 'utf8')}` : readFileSync(join(this.folder, path), 'utf8');
    const run = runInContext(`(function (require, module, exports) {${source}\n})`, this.context, { filename: path }) as (...args: unknown[]) => void;
    run.call(undefined, (name: string) => this.require(resolve(path, name)), module, module.exports);
    return module.exports;
  }
}

const query = { in: () => query, select: () => query, selectAll: () => query, boundingClientRect: () => query, node: () => query, fields: () => query, exec: () => undefined };

function resolve(from: string, name: string): string {
  const path = name.startsWith('/') ? name.slice(1) : posix.join(dirname(from), name);
  return /\.(js|json)$/.test(path) ? path : `${path}.js`;
}

function withSystem(vendor: object, machine: Machine): object {
  const read = (key: string): string => machine.storage.get(key) ?? '';
  return {
    getSystemInfoSync: () => system, getDeviceInfo: () => system, getWindowInfo: () => system, getAppBaseInfo: () => system, getSystemSetting: () => ({}),
    getSystemInfo: (options: { success?: (info: object) => void }) => options.success?.(system),
    getMenuButtonBoundingClientRect: () => ({ left: 280, right: 365, top: 24, bottom: 56, width: 85, height: 32 }),
    getLaunchOptionsSync: () => ({ path: '', query: {} }), getEnterOptionsSync: () => ({ path: '', query: {} }), getAppIdSync: () => ({ appId: '1' }),
    getAccountInfoSync: () => ({ miniProgram: {} }), getUpdateManager: () => ({}), canIUse: () => false, nextTick: (run: () => void) => machine.setTimeout(run),
    getStorageSync: read, setStorageSync: (key: string, value: string) => void machine.set(key, value), removeStorageSync: (key: string) => machine.storage.delete(key),
    onThemeChange: () => undefined, offThemeChange: () => undefined, onError: () => undefined, offError: () => undefined, onUnhandledRejection: () => undefined,
    onPageNotFound: () => undefined, onKeyboardHeightChange: () => undefined, offKeyboardHeightChange: () => undefined, reportAnalytics: () => undefined,
    createSelectorQuery: () => query, env: {}, ...vendor,
  };
}

/** A copy of this realm's: what a page shows has crossed to another process. */
function clone(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

/** Sets a path such as `a.b[0].c`. */
function put(into: Data, path: string, value: unknown): void {
  const names = path.split(/[.[\]]+/).filter((name) => name !== '');
  const last = names.pop()!;
  let at = into as Record<string, unknown>;
  for (const [i, name] of names.entries()) {
    at[name] ??= /^\d+$/.test(names[i + 1] ?? last) ? [] : {};
    at = at[name] as Record<string, unknown>;
  }
  at[last] = value;
}

/** Bytes of all files of a folder. */
export function sizeOf(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    return sum + (entry.isDirectory() ? sizeOf(path) : statSync(path).size);
  }, 0);
}
