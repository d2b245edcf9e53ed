import { ReactNativeHost } from 'moorline/react-native';
import type { Machine } from '../../sim/machine.js';
import { reactNative } from '../../sim/react-native.js';

export const platform = (machine: Machine) => {
  const { WebSocket, AppState, NetInfo, AsyncStorage } = reactNative(machine);
  const parts = { appState: AppState, netInfo: NetInfo, storage: AsyncStorage };
  return { globals: { WebSocket }, options: parts, makeHost: () => new ReactNativeHost(parts) };
};
