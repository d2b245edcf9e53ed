/** What vitest's `vi` and jest's `jest` offer once their fake timers are in use. */
export interface FakeTimers {
  advanceTimersByTimeAsync(ms: number): Promise<unknown>;
}

/** Steps of one moment after which something is taken to go round in circles. */
const most = 200_000;
/** How often the platform gets a turn for what is under way elsewhere, at most. */
const mostBreaths = 20_000;
/** How often promises that are due get their turn between two steps. */
const turns = 8;

interface Task {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/**
 * Time that only a test moves. What takes no time happens by itself, in order, a step at a time, so that promises
 * settle in between; everything else waits for `advance`.
 */
export class Clock {
  private readonly waiting: Task[] = [];
  private readonly due: (() => void)[] = [];
  private time: number;
  private order = 0;
  private isRunning = false;
  private isMoving = false;
  private isStopped = false;
  private steps = 0;
  private failure: Error | undefined;
  private channel: MessageChannel | undefined;
  private readonly breathing: (() => void)[] = [];

  constructor(
    start: number,
    private readonly timers: FakeTimers | undefined,
    /** Whether something is under way that takes no time of this clock, such as a module that is compiled. */
    private readonly isBusy: () => boolean,
    private readonly report: (error: unknown) => void,
  ) {
    this.time = start;
  }

  /** ms since 1970. */
  get now(): number {
    if (this.timers) this.time = Math.max(this.time, Date.now());
    return this.time;
  }

  /** Runs something at once, after what is due already. */
  soon(run: () => void): void {
    if (this.isStopped) return;
    this.due.push(run);
    if (this.isRunning) return;
    this.isRunning = true;
    void this.run();
  }

  /** Runs something in so many ms; what is returned stops that. */
  after(ms: number, run: () => void): () => void {
    let isOver = false;
    const act = (): void => {
      if (!isOver) run();
    };
    const stop = (): void => {
      isOver = true;
    };
    const span = Math.max(0, Math.ceil(ms));
    if (span === 0) {
      this.soon(act);
      return stop;
    }
    const task = { at: this.now + span, order: this.order++, run: act };
    this.enqueue(task);
    const id = this.timers && setTimeout(() => this.collect(), Math.min(span, 2 ** 31 - 1));
    return () => {
      stop();
      const index = this.waiting.indexOf(task);
      if (index >= 0) this.waiting.splice(index, 1);
      if (id !== undefined) clearTimeout(id);
    };
  }

  /** Lets everything happen that takes no time; `turns`: how often nothing may be left in a row before that is believed. */
  async settle(turns = 2): Promise<void> {
    for (let [quiet, busy] = [0, 0]; quiet < turns; ) {
      await this.breath();
      if (this.failure) throw this.failure;
      if (this.isStopped) return;
      if (this.isRunning) quiet = 0;
      else if (!this.isBusy() || ++busy > mostBreaths) quiet++;
    }
  }

  /** Lets time pass, moment by moment. */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0) || ms > Number.MAX_SAFE_INTEGER) throw new RangeError(`advance() takes ms that are not negative, not ${ms}`);
    await this.move(async () => {
      const until = this.now + ms;
      await this.settle();
      while (!this.isStopped && this.now < until) {
        await this.step(until);
      }
    });
  }

  /** Lets time pass until something is so, at most so many ms; tells whether it is. */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    let isSo = false;
    await this.move(async () => {
      const last = this.now + ms;
      await this.settle();
      while (!(isSo = condition()) && !this.isStopped && this.now < last) {
        await this.step(last);
      }
    });
    return isSo;
  }

  /** Nothing happens any more. */
  stop(): void {
    this.isStopped = true;
    this.channel?.port1.close();
    this.channel = undefined;
    this.waiting.length = this.due.length = 0;
    for (const resolve of this.breathing.splice(0)) resolve();
  }

  private async move(act: () => Promise<void>): Promise<void> {
    if (this.isMoving) throw new Error('time is being moved already: await each advance() before the next');
    this.isMoving = true;
    try {
      await act();
    } finally {
      this.isMoving = false;
    }
  }

  /** Goes on to the next moment at which something happens, or to `until`. */
  private async step(until: number): Promise<void> {
    const at = Math.min(this.waiting[0]?.at ?? until, until);
    if (this.timers) await this.timers.advanceTimersByTimeAsync(Math.max(1, at - this.now));
    else this.time = at;
    this.collect();
    this.steps = 0;
    await this.settle(1);
  }

  /** What is due by now comes next. */
  private collect(): void {
    const now = this.now;
    for (let task = this.waiting[0]; task && task.at <= now; task = this.waiting[0]) {
      this.waiting.shift();
      this.soon(task.run);
    }
  }

  private enqueue(task: Task): void {
    let [low, high] = [0, this.waiting.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.waiting[middle]!.at <= task.at) low = middle + 1;
      else high = middle;
    }
    this.waiting.splice(low, 0, task);
  }

  private async run(): Promise<void> {
    for (;;) {
      for (let i = 0; i < turns; i++) await undefined;
      const act = this.due.shift();
      if (!act) break;
      if (++this.steps > most) {
        this.failure = new Error(`${most} steps, and no time has passed: something goes round in circles`);
        this.stop();
        break;
      }
      try {
        act();
      } catch (error) {
        this.report(error);
      }
    }
    this.isRunning = false;
  }

  /** Lets everything run that waits for promises only, however long their chain. Fake timers leave this alone. */
  private breath(): Promise<void> {
    if (!this.channel) {
      this.channel = new MessageChannel();
      this.channel.port1.onmessage = () => {
        hold(this.channel, 'unref');
        for (const resolve of this.breathing.splice(0)) resolve();
      };
    }
    const { port2 } = this.channel;
    hold(this.channel, 'ref');
    return new Promise((resolve) => {
      this.breathing.push(resolve);
      port2.postMessage(0);
    });
  }
}

/** In Node a port keeps the process alive while it listens: only as long as somebody waits. */
function hold(channel: MessageChannel | undefined, how: 'ref' | 'unref'): void {
  (channel?.port1 as { ref?(): void; unref?(): void } | undefined)?.[how]?.();
}
