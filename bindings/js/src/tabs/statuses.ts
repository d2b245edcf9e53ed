import { Reader } from '../core/reader.js';
import { Writer } from '../core/writer.js';
import { statuses } from '../core/records.js';
import type { Status } from '../types.js';

/** Whose status the tabs follow together, and what is known of it. */
export class Statuses {
  private known = new Map<string, Status>();
  private followed = '';

  learn(record: Uint8Array): void {
    for (const [user, status] of statuses(new Reader(record))) this.known.set(user, status);
  }

  /** Returns whom to follow, if that is not what it was. */
  follow(users: readonly string[]): string[] | undefined {
    const all = [...new Set(users)].sort();
    const followed = JSON.stringify(all);
    if (followed === this.followed || (all.length === 0 && this.followed === '')) return undefined;
    this.followed = followed;
    for (const user of this.known.keys()) if (!all.includes(user)) this.known.delete(user);
    return all;
  }

  /** Tells what is known already of users that a tab begins to follow. */
  tell(before: readonly string[], now: readonly string[], tell: (record: Uint8Array) => void): void {
    const news = now.filter((user) => !before.includes(user) && this.known.has(user));
    if (news.length > 0) tell(writeStatuses(news.map((user) => [user, this.known.get(user)!] as const)));
  }
}

function writeStatuses(users: readonly (readonly [string, Status])[]): Uint8Array {
  const write = (to: Writer, [user, { online, since }]: readonly [string, Status]): void => {
    to.text(user).flag(online).number(since === undefined ? 0 : since + 1);
  };
  return new Writer().list(users, write).view();
}
