import { createRequire } from 'node:module';
import type { Boot } from './engine.js';

/** What is used of quickjs-emscripten, which is installed beside the tests. */
interface Handle {
  dispose(): void;
}
interface Context {
  readonly global: Handle;
  newFunction(name: string, call: (...args: Handle[]) => void): Handle;
  newString(text: string): Handle;
  getString(handle: Handle): string;
  getProp(of: Handle, name: string): Handle;
  setProp(of: Handle, name: string, value: Handle): void;
  callFunction(call: Handle, self: Handle, ...args: Handle[]): { value?: Handle; error?: Handle };
  evalCode(code: string, name: string): { value?: Handle; error?: Handle };
  dump(handle: Handle): unknown;
  readonly runtime: { executePendingJobs(): { error?: Handle }; setMemoryLimit(bytes: number): void };
}

/** QuickJS, itself in WebAssembly: an interpreter without WebAssembly, timers, TextDecoder and crypto. */
export const quickjs: Boot = async (bundle, heard) => {
  const { getQuickJS } = createRequire(new URL('./engines/', import.meta.url))('quickjs-emscripten') as { getQuickJS(): Promise<{ newContext(): Context }> };
  const vm = (await getQuickJS()).newContext();
  let isClosed = false;
  const settle = (result: { value?: Handle; error?: Handle }): unknown => {
    if (result.error) {
      const why = vm.dump(result.error);
      result.error.dispose();
      throw new Error(`QuickJS: ${JSON.stringify(why)}`);
    }
    const value = result.value && vm.dump(result.value);
    result.value?.dispose();
    const { error } = vm.runtime.executePendingJobs();
    if (error) throw new Error(`QuickJS: ${JSON.stringify(vm.dump(error))}`);
    return value;
  };
  const post = vm.newFunction('__post', (line) => heard(vm.getString(line!)));
  vm.setProp(vm.global, '__post', post);
  post.dispose();
  settle(vm.evalCode(`var __global = this;\n${bundle}`, 'app.js'));
  const receive = vm.getProp(vm.global, '__receive');
  return {
    send(line) {
      if (isClosed) return;
      const text = vm.newString(line);
      settle(vm.callFunction(receive, vm.global, text));
      text.dispose();
    },
    run: (code) => settle(vm.evalCode(code, 'test.js')),
    close() {
      isClosed = true;
      // What the app still holds keeps the machine from being taken apart; it goes with this process.
      receive.dispose();
    },
  };
};
