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
  readonly networkType?: string;
}

/**
 * Tells what a platform says. Shown again, the client asks the server for a sign at once: a socket that died in the background may
 * never say so. Where a platform cannot take a handler back, it is made deaf.
 */
export function appSignals(app: AppEvents, emit: (signal: HostSignal) => void): () => void {
  let isOver = false;
  let last: string | undefined;
  const tell = (signal: HostSignal): void => void (isOver || emit(signal));
  const shown = (): void => tell('foreground');
  const hidden = (): void => tell('background');
  const network = ({ isConnected, networkType }: Network): void => {
    // Another network is another address: the socket of the last one is dead.
    const isOther = isConnected && last !== undefined && networkType !== undefined && last !== networkType;
    last = networkType ?? last;
    tell(!isConnected ? 'offline' : isOther ? 'wake' : 'online');
  };
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
