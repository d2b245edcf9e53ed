import { UniHost } from 'moorline/uni';
import type { Machine } from '../../sim/machine.js';
import { uniApp } from '../../sim/vendors.js';

export const platform = (machine: Machine) => ({ globals: uniApp(machine), options: {}, makeHost: () => new UniHost() });
