import { DouyinHost } from 'moorline/douyin';
import type { Machine } from '../../sim/machine.js';
import { douyin } from '../../sim/vendors.js';

export const platform = (machine: Machine, instantiate: ((bytes: Uint8Array) => Promise<object>) | undefined) => ({
  globals: douyin(machine, instantiate), options: {}, makeHost: () => new DouyinHost(),
});
