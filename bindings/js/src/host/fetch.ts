import { instantiate } from './instantiate.js';

/** Fetches a module and starts it, compiled while it arrives where the server names its type. */
export async function fetchModule(url: URL): Promise<{ readonly exports: unknown }> {
  const response = await fetch(url.href);
  if (!response.ok) throw new Error(`${url.href} answered ${response.status}`);
  return instantiate(new Uint8Array(await response.arrayBuffer()));
}
