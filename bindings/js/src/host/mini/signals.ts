import type { HostSignal } from '../host.js';

/** What the platforms say of an app and its network. */
export interface AppEvents {
  onAppShow?(handler: () => void): void;
  offAppShow?(handler: () => void): void;
  onAppHide?(handler: () => void): void;
  offAppHide?(handler: () => void): void;
  onNetworkStatusChange?(handler: (network: Network) => void): void;
  offNetworkStatusChange?(handler: (network: Network) => void): void;
}

export interface Network {
  readonly isConnected: boolean;
}

/**
 * Tells what a platform says. Shown again, the client asks the server for a sign at once: a socket that died in the background may
 * never say so. Where a platform cannot take a handler back, it is made deaf.
 */
export function appSignals(app: AppEvents, emit: (signal: HostSignal) => void): () => void {
  let isOver = false;
  const tell = (signal: HostSignal): void => void (isOver || emit(signal));
  const shown = (): void => tell('foreground');
  const hidden = (): void => tell('background');
  // Another network is told as `online`, too: the socket of the last one is dead, and `online` asks the server for a sign.
  const network = ({ isConnected }: Network): void => tell(isConnected ? 'online' : 'offline');
  app.onAppShow?.(shown);
  app.onAppHide?.(hidden);
  app.onNetworkStatusChange?.(network);
  return () => {
    if (isOver) return;
    isOver = true;
    app.offAppShow?.(shown);
    app.offAppHide?.(hidden);
    app.offNetworkStatusChange?.(network);
  };
}
