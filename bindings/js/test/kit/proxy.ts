import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

/** A TCP proxy in front of a server that can be made to fail. */
export class FaultProxy {
  private readonly sockets = new Set<Socket>();
  private isHolding = false;
  private isRefusing = false;
  private delayed = 0;
  /** How many bytes the server has sent through it. */
  bytesSent = 0;

  private heard: (() => void) | undefined;

  private constructor(
    private readonly listener: Server,
    private readonly target: number,
  ) {
    listener.on('connection', (socket) => this.accept(socket));
  }

  /** Starts one in front of a port of this machine. */
  static async start(target: number): Promise<FaultProxy> {
    const listener = createServer({ pauseOnConnect: true });
    const proxy = new FaultProxy(listener, target);
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.listener.address() as AddressInfo).port;
  }

  /** How many connections go through it. */
  get connections(): number {
    return this.sockets.size / 2;
  }

  /** Waits until clients have sent something so many times: a busy one its messages, an idle one its answers to pings. */
  hears(times: number): Promise<void> {
    let left = times;
    return new Promise((resolve) => {
      this.heard = () => {
        if (--left === 0) resolve();
      };
    });
  }

  /** Resets every connection. New ones are welcome. */
  cut(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  /** Nothing arrives any more, and nobody is told: open connections stay open, new ones open and stay mute. */
  blackHole(): void {
    this.isHolding = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** Cuts, and resets every new connection, too. */
  refuse(): void {
    this.isRefusing = true;
    this.cut();
  }

  /** From now on bytes take this long, ms, in each direction. */
  delay(ms: number): void {
    this.delayed = ms;
  }

  /** All is well again; what a black hole held goes on its way. */
  heal(): void {
    this.isRefusing = this.isHolding = false;
    this.delayed = 0;
    for (const socket of this.sockets) socket.resume();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.listener.close(resolve));
    this.cut();
    await closed;
  }

  private accept(near: Socket): void {
    if (this.isRefusing) return void near.resetAndDestroy();
    const far = connect(this.target, '127.0.0.1');
    far.on('data', (bytes) => (this.bytesSent += bytes.length));
    near.on('data', () => this.heard?.());
    this.pipe(near, far);
    this.pipe(far, near);
  }

  private pipe(from: Socket, to: Socket): void {
    this.sockets.add(from);
    const pass = (act: () => void): void => (this.delayed === 0 ? act() : void setTimeout(act, this.delayed));
    from.setNoDelay(true);
    from.on('data', (bytes) => pass(() => to.write(bytes)));
    from.on('end', () => pass(() => to.end()));
    from.on('error', () => to.resetAndDestroy());
    from.on('close', () => {
      this.sockets.delete(from);
      pass(() => to.destroy());
    });
    if (this.isHolding) from.pause();
    else from.resume();
  }
}
