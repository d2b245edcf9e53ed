import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { type Eval, type Os, html5plus } from '../platforms/sim/html5plus.js';
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

/** What an app's frame has of its own: HTML5+, Weex, timers, a console. */
export interface Own extends Record<string, unknown> {
  readonly plus: { readonly os: { readonly name: Os } };
  readonly weex: object;
}

/** What the service layer puts into its context. */
export interface Layer extends Record<string, unknown> {
  readonly uni: object;
  readonly Vue: { createVueApp(options: object): { mount(container: string): unknown } };
}

/** Runs the service layer in a context of V8 without what a phone's engine lacks, with what an app's configuration registers. */
export function startLayer(layer: string, config: string, own: Own): { readonly frame: Layer; readonly instance: Record<string, unknown> } {
  const frame = takeAway(createContext({})) as Record<string, unknown>;
  let instance: Record<string, unknown> = {};
  const register = (_name: string, made: { create(id: string, env: object): { instance: typeof instance } }): void => void ({ instance } = made.create('1', own));
  // Its Vue asks for the platform: on iOS it waits with timers, not with promises.
  Object.assign(frame, own, { global: frame, exports: { platform: own.plus.os.name }, service: { register } });
  runInContext(config, frame, { filename: 'app-config-service.js' });
  const { __uniConfig, __uniRoutes } = instance;
  Object.assign(frame, { __uniConfig, __uniRoutes });
  runInContext(layer, frame, { filename: 'uni-jsframework.js' });
  return { frame: frame as Layer, instance };
}

/** An app: the folder of its build, the service layer, the phone, and what hears of it. */
export interface App {
  readonly folder: string;
  readonly layer: string;
  readonly os: Os;
  readonly machine: Machine;
  readonly evaluate: Eval;
  readonly say: (line: string) => void;
}

/**
 * The script of an app as its build left it, over the service layer: two contexts of V8, as Weex runs them. What the page shows goes out
 * as scripts for its webview; what that posts comes in.
 */
export function startApp({ folder, layer, os, machine, evaluate, say }: App): (message: object) => void {
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const { plus, weex, posted } = html5plus(machine, evaluate, os);
  const own = { plus, weex, ...timersOf(machine), console: consoleOf(say) };
  const { frame, instance } = startLayer(layer, read('app-config-service.js'), own);
  const { Vue, uni, getApp, getCurrentPages, __definePage, __registerPage, UniServiceJSBridge } = frame;
  const app = takeAway(createContext({ ...own, ...instance, Vue, uni, getApp, getCurrentPages, __definePage, __registerPage, UniServiceJSBridge }));
  runInContext(read('app-service.js'), app, { filename: 'app-service.js' });
  return posted;
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
