import { UniHost } from 'moorline/uni';
import { html5plus } from '../../sim/html5plus.js';
import type { Machine } from '../../sim/machine.js';

/** The service layer of uni-app itself, in a context of its own. */
declare const __serviceLayer: (own: object) => { readonly uni: object };

export const platform = (machine: Machine) => {
  const { plus, weex } = html5plus(machine, () => undefined);
  const { uni } = __serviceLayer({ plus, weex, setTimeout, clearTimeout });
  return { globals: { plus, uni }, options: {}, makeHost: () => new UniHost() };
};
