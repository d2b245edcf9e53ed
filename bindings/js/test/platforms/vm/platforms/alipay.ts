import { AlipayHost } from 'moorline/alipay';
import type { Machine } from '../../sim/machine.js';
import { alipay } from '../../sim/vendors.js';

export const platform = (machine: Machine) => ({ globals: alipay(machine), options: {}, makeHost: () => new AlipayHost() });
