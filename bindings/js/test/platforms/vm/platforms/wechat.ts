import { WechatHost } from 'moorline/wechat';
import type { Machine } from '../../sim/machine.js';
import { wechat } from '../../sim/vendors.js';

export const platform = (machine: Machine, instantiate: ((bytes: Uint8Array) => Promise<object>) | undefined) => ({
  globals: wechat(machine, instantiate), options: {}, makeHost: () => new WechatHost(),
});
