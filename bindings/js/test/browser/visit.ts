import { randomUUID } from 'node:crypto';
import { createClient } from 'moorline';
import type { CDPSession, Page as ChromiumPage } from 'playwright-core';
import type { Browser, Lab, Page } from './harness.js';

/** A channel as another client sees it. */
export class Elsewhere {
  constructor(
    protected readonly lab: Lab,
    readonly user = `user-${randomUUID().slice(0, 8)}`,
    readonly channel = `room:${user}`,
  ) {}

  /** Publishes numbers from elsewhere. */
  async publish(first: number, count: number): Promise<void> {
    const client = createClient({ url: this.lab.server.url, token: 'dev:elsewhere' });
    const room = client.channel(this.channel, { qos: 2 });
    await Promise.all(Array.from({ length: count }, (_, i) => room.publish(first + i).stored));
    await client.close();
  }

  /** Everything in the channel's log. */
  async log(): Promise<{ ids: string[]; data: unknown[] }> {
    const client = createClient({ url: this.lab.server.url, token: 'dev:elsewhere' });
    const room = client.channel(this.channel);
    const [ids, data]: [string[], unknown[]] = [[], []];
    for (let after = 0, more = true; more; ) {
      const page = await room.history({ after, limit: 256 });
      for (const message of page.messages) {
        ids.push(message.id);
        data.push(message.data ?? message.text);
        after = message.offset!;
      }
      more = page.more;
    }
    await client.close();
    return { ids, data };
  }
}

/** The small app of `app.ts` in a page of Chromium, and its channel as another client sees it. */
export class Visit extends Elsewhere {
  page!: Page;

  constructor(
    lab: Lab,
    private readonly browser: Pick<Browser, 'open'>,
    private readonly url: string,
  ) {
    super(lab);
  }

  get cdp(): CDPSession {
    return this.page.chromium!.cdp;
  }

  get tab(): ChromiumPage {
    return this.page.chromium!.page;
  }

  /** Opens the app in a page of its own. */
  async open(): Promise<void> {
    this.page = await this.browser.open(this.url);
    await this.start();
  }

  /** Starts the app in a page that has just been loaded. */
  start(): Promise<unknown> {
    return this.run(`app.start(${JSON.stringify({ url: this.lab.proxied, user: this.user, channel: this.channel })})`);
  }

  run<T>(expression: string): Promise<T> {
    return this.page.evaluate<T>(expression);
  }

  /** Waits in the page until an expression holds. */
  until(expression: string): Promise<unknown> {
    return this.run(`app.until(() => ${expression})`);
  }
}

/** The numbers from `first` on. */
export const numbers = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);
