import { TaroHost, type TaroApi } from 'moorline/taro';
import type { Machine } from '../../sim/machine.js';
import { taro } from '../../sim/vendors.js';

export const platform = (machine: Machine) => {
  const { Taro } = taro(machine) as unknown as { Taro: TaroApi };
  return { globals: {}, options: { taro: Taro }, makeHost: () => new TaroHost(Taro) };
};
