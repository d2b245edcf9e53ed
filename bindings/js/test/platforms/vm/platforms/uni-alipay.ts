import { UniHost } from 'moorline/uni';
import type { Machine } from '../../sim/machine.js';
import { uniAlipay } from '../../sim/vendors.js';

export const platform = (machine: Machine) => ({ globals: uniAlipay(machine), options: {}, makeHost: () => new UniHost() });
