/** Starts a module that imports nothing. */
export function instantiate(module: Uint8Array | WebAssembly.Module): Promise<{ readonly exports: unknown }> {
  if (module instanceof WebAssembly.Module) return WebAssembly.instantiate(module);
  return WebAssembly.instantiate(module as Uint8Array<ArrayBuffer>).then((made) => made.instance);
}
