import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { type Eval, html5plus } from '../platforms/sim/html5plus.js';
import type { Machine } from '../platforms/sim/machine.js';
import { takeAway } from '../platforms/v8.js';

/** What the frame of an app does beside the packages that it is made of: it registers the app where that is mounted. */
const entry = `
import * as Vue from 'vue';
import service from '@dcloudio/uni-app-plus/dist/uni.runtime.esm.js';
import { initApp } from '@dcloudio/uni-app-plus/dist/uni.vue.js';
const createVueApp = (...args) => {
  const app = Vue.createVueApp(...args);
  initApp(app);
  const mount = app.mount;
  app.mount = (container) => {
    const made = mount(container);
    service.__registerApp(made);
    return made;
  };
  return app;
};
Object.assign(global, service, { Vue: { ...Vue, createVueApp } });
`;

/** Bundles the service layer of the uni-app that is installed in a folder: `uni`, its bridge and its Vue. */
export async function serviceLayer(folder: string): Promise<string> {
  const made = await build({
    absWorkingDir: folder, stdin: { contents: entry, resolveDir: folder },
    bundle: true, format: 'iife', platform: 'neutral', mainFields: ['module', 'main'], write: false, logLevel: 'error',
    alias: { vue: '@dcloudio/uni-app-vue/dist/vue.runtime.esm.prod.js' },
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  return made.outputFiles[0]!.text;
}

/**
 * The service side of an app as its build left it: the service layer in one context of V8, the app's script in another one, as Weex runs
 * them, both without what a phone's engine lacks. What the page shows goes out as scripts for its webview.
 */
export class Service {
  /** Takes what the webview has posted. */
  readonly posted: (message: object) => void;

  constructor(folder: string, layer: string, machine: Machine, evaluate: Eval, say: (line: string) => void) {
    const frame = takeAway(createContext({})) as Record<string, unknown>;
    const run = (name: string, where: object): unknown => runInContext(readFileSync(join(folder, name), 'utf8'), where, { filename: name });
    const parse = runInContext('JSON.parse', frame) as (text: string) => object;
    const { plus, weex, posted } = html5plus(machine, evaluate, (value) => parse(JSON.stringify(value)));
    this.posted = posted;
    const own = { plus, weex, ...timersOf(machine), console: consoleOf(say) };
    let instance: Record<string, unknown> = {};
    const register = (_name: string, made: { create(id: string, env: object, config: object): { instance: typeof instance } }): void => void ({ instance } = made.create('1', { weex }, {}));
    Object.assign(frame, own, { global: frame, exports: { platform: 'Android' }, service: { register } });
    run('app-config-service.js', frame);
    const { __uniConfig, __uniRoutes } = instance;
    Object.assign(frame, { __uniConfig, __uniRoutes });
    runInContext(layer, frame, { filename: 'uni-jsframework.js' });
    const { Vue, uni, getApp, getCurrentPages, __definePage, __registerPage, UniServiceJSBridge } = frame;
    const app = takeAway(createContext({ ...own, ...instance, Vue, uni, getApp, getCurrentPages, __definePage, __registerPage, UniServiceJSBridge }));
    run('app-service.js', app);
  }
}

function timersOf(machine: Machine): object {
  return {
    setTimeout: (fire: () => void, ms?: number) => machine.setTimeout(fire, ms),
    clearTimeout: (id: unknown) => clearTimeout(id as number),
    setInterval: (fire: () => void, ms: number) => setInterval(() => machine.enter(fire), ms),
    clearInterval: (id: unknown) => clearInterval(id as number),
  };
}

function consoleOf(say: (line: string) => void): object {
  const tell = (...args: unknown[]): void => say(args.map((arg) => (arg as Error | undefined)?.stack ?? String(arg)).join(' '));
  return { log: tell, info: tell, warn: tell, error: tell, debug: tell };
}
