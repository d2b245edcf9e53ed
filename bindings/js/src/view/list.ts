import type { Channel } from '../channel.js';
import type { Client } from '../client.js';
import type { MoorlineError } from '../errors.js';
import type { HistoryQuery } from '../history.js';
import type { PublishOptions } from '../options.js';
import type { Receipt, ReceiptState } from '../receipt.js';
import type { Source } from '../source.js';
import type { HistoryPage, Message, Reset } from '../types.js';
import { later, listen } from './shared.js';

/** A message as a list shows it: one of the log, or one of this list's own that is on its way there. */
export interface ListedMessage extends Omit<Message, 'epoch' | 'replayed' | 'redelivered'> {
  /** The same for as long as it is listed, also when an own message gets its place in the log. */
  readonly key: string;
  /** Absent until it is in the log, as is `offset`; `time` is this device's until then. */
  readonly epoch?: string;
  /** How far an own message is; `'received'` for all others. */
  readonly state: ReceiptState | 'received';
  /** Of a message published through this list. */
  readonly receipt?: Receipt;
}

/** The messages of a channel, for a view. The same object until something changes. */
export interface MessageList {
  /** The log's in its order, then the own ones that have no place in it yet. Messages at QoS 0 have none: `on('message')` has them. */
  readonly messages: readonly ListedMessage[];
  /** Whether the log has more before the first of them. */
  readonly hasOlder: boolean;
  /** Whether a part of the log is being asked for, as the newest one is at first. */
  readonly isLoading: boolean;
  /** The newest break of continuity: what was listed before it is gone from the list. */
  readonly reset: Reset | undefined;
  /** Why the channel is not read, or its history not given. */
  readonly error: MoorlineError | undefined;
  /**
   * Lists one more page of the log, also beyond `keep`: from then on what comes takes nothing away above, up to ten times `keep`
   * more, until `trim`. Resolves when it is there, or `error` says why not.
   */
  readonly loadOlder: () => Promise<void>;
  /** Takes what is beyond `keep` off the list again. */
  readonly trim: () => void;
  /** Publishes, and lists the message at once, in place of an own one with the same id. Throws what `Channel.publish` throws. */
  readonly publish: (payload: unknown, options?: PublishOptions) => Receipt;
  /** Takes an own message off the list that failed, or of which nothing is known. It may be published again with its id. */
  readonly discard: (message: ListedMessage) => void;
}

/** What a list holds. */
export interface ListOptions {
  /** How many messages stay listed while new ones come (default 500). */
  readonly keep?: number;
  /** How many are asked for at once: 1 to 256 (default 50). */
  readonly page?: number;
}

const lists = new WeakMap<Channel, Source<MessageList>>();

/** The list of a handle: made with the options of who asks first. */
export function listOf(client: Client, channel: Channel, options: ListOptions = {}): Source<MessageList> {
  let list = lists.get(channel);
  if (!list) lists.set(channel, (list = makeList(client, channel, options)));
  return list;
}

/** Keeps a list while somebody looks at it. Closures, not a class: their names are what a bundler shortens. */
function makeList(client: Client, channel: Channel, { keep = 500, page: limit = 50 }: ListOptions): Source<MessageList> {
  const viewers = new Set<() => void>();
  let stop: (() => void) | undefined;
  let isDirty = false;
  /** In the order of their offsets, without a hole. */
  let log: ListedMessage[] = [];
  /** Without a place. */
  let own: ListedMessage[] = [];
  let epoch: string | undefined;
  /** The newest offset seen, of a message or of a newest page. */
  let tail = -1;
  /** Where reading began, or began again. */
  let start = 0;
  let hasOlder = false;
  let bound = keep;
  let loading = 0;
  /** Messages were given up: until the next newest page, nobody knows where. */
  let hasHole = false;
  /** Which newest page is waited for; a later one replaces it. */
  let run = 0;
  let older: Promise<void> | undefined;
  let refilling: Promise<void> | undefined;
  let isStale = false;
  let reset: Reset | undefined;
  let error: MoorlineError | undefined;
  /** The one of a page, which a later page cures. */
  let pageError: unknown;

  const view = (): MessageList => ({
    messages: [...log, ...own], hasOlder, isLoading: loading > 0, reset, error, loadOlder, trim, publish, discard,
  });

  /** Tells the viewers: once for all that happens in one turn. */
  const change = (): void => {
    if (isDirty) return;
    isDirty = true;
    later(() => {
      isDirty = false;
      list.current = view();
      viewers.forEach((changed) => changed());
    });
  };

  const fail = (why: unknown): void => {
    error = why as MoorlineError;
    change();
  };

  const drop = (key: string): void => {
    own = own.filter((message) => message.key !== key);
    change();
  };

  /** Another log, or one with a hole: only what is on its way stays. */
  const restart = (to: string): void => {
    epoch = to;
    log = [];
    tail = -1;
    hasOlder = false;
    bound = keep;
    own = own.filter(({ state }) => state !== 'stored');
  };

  const cut = (): void => {
    // Who reads further up reads on.
    const most = older || bound > keep ? bound + 10 * keep : keep;
    if (log.length > most) {
      log = log.slice(-most);
      hasOlder = true;
    }
    change();
  };

  /** Puts a message where its offset says; an own one that is there already gets the log's time. */
  const place = (message: ListedMessage): void => {
    let at = log.length;
    while (at && log[at - 1]!.offset! > message.offset!) at--;
    const there = log[at - 1];
    if (there?.offset !== message.offset) log.splice(at, 0, message);
    else if (there!.receipt) log[at - 1] = { ...there!, time: message.time };
    cut();
  };

  const insert = (message: Message): void => {
    if (message.offset === undefined) return;
    if (message.epoch !== epoch) restart(message.epoch);
    tail = Math.max(tail, message.offset);
    const mine = own.find(({ id }) => id === message.id && message.user === client.user);
    if (mine) drop(mine.key);
    place(mine ? { ...message, key: mine.key, state: 'stored', receipt: mine.receipt! } : { ...message, key: epoch + ':' + message.offset, state: 'received' });
  };

  const load = async (query: HistoryQuery, use: (page: HistoryPage) => boolean): Promise<void> => {
    loading++;
    change();
    try {
      const page = await channel.history({ ...query, limit });
      if (error === pageError) error = undefined;
      if (use(page)) page.messages.forEach(insert);
    } catch (why) {
      fail((pageError = why));
    }
    loading--;
    change();
  };

  const newest = (): Promise<void> => {
    const mine = ++run;
    return load({}, (page) => {
      if (mine !== run) return false;
      if (page.epoch !== epoch) restart(page.epoch);
      const first = page.messages[0]?.offset ?? 0;
      const last = log.filter(({ offset }) => offset! < first).pop();
      // Before this page there is a hole.
      if (page.more && last && (hasHole || last.offset! + 1 < first)) log = log.filter(({ offset }) => offset! >= first);
      hasHole = false;
      if (!log.length || log[0]!.offset! >= first) hasOlder = page.more;
      tail = Math.max(tail, page.head);
      if (page.head < start) void newest();
      return true;
    });
  };

  /** Asks for the newest page once for all that is given up meanwhile, and once more for what was given up then. */
  const refill = (): void => {
    hasHole = true;
    if (refilling) isStale = true;
    refilling ??= newest().then(() => {
      refilling = undefined;
      if (isStale) refill();
      isStale = false;
    });
  };

  const loadOlder = (): Promise<void> => {
    const before = log[0]?.offset;
    if (!hasOlder || before === undefined) return Promise.resolve();
    older ??= load({ before }, (page) => {
      if (page.epoch !== epoch || before !== log[0]?.offset) return false;
      hasOlder = page.more;
      bound = Math.max(bound, log.length + page.messages.length);
      return true;
    }).then(() => void (older = undefined));
    return older;
  };

  const trim = (): void => {
    bound = keep;
    cut();
  };

  const publish = (payload: unknown, options: PublishOptions = {}): Receipt => {
    const receipt = channel.publish(payload, options);
    if (options.qos === 0) return receipt;
    const { id, progress, stored } = receipt;
    const { user } = client;
    drop(id);
    own.push({
      channel: channel.name, id, key: id, time: Date.now(), headers: { ...options.headers }, ...contentOf(payload), state: 'queued', receipt,
      ...(user && { user }),
    });
    const off = progress.subscribe(() => {
      const { state } = receipt;
      own = own.map((message) => (message.receipt === receipt ? { ...message, state } : message));
      if (state !== 'sent') off();
      change();
    });
    // Its place is known, before it comes from there or after.
    stored.then((to) => {
      const mine = own.find((message) => message.receipt === receipt);
      epoch ??= to.epoch;
      if (!mine || epoch !== to.epoch) return;
      drop(mine.key);
      if (to.offset !== undefined) place({ ...mine, epoch, offset: to.offset });
    }, ({ code }: MoorlineError) => code === 'request.unsupported' && drop(id));
    change();
    return receipt;
  };

  const discard = ({ key }: ListedMessage): void => drop(key);

  const begin = (): (() => void) => {
    const offs = [
      listen(channel, 'message', insert, fail),
      listen(channel, 'subscribed', (subscribed) => {
        start = subscribed.from;
        error = undefined;
        if (!loading && (subscribed.epoch !== epoch || start > tail)) void newest();
        change();
      }),
      listen(channel, 'reset', (to) => {
        restart(to.epoch);
        reset = to;
        void newest();
      }),
      listen(channel, 'dropped', refill),
      listen(channel, 'error', fail),
    ];
    void newest();
    return () => offs.forEach((off) => off());
  };

  const first = { ...view(), isLoading: true };
  const list: { current: MessageList } & Source<MessageList> = {
    first,
    current: first,
    subscribe(changed) {
      viewers.add(changed);
      stop ??= begin();
      return () => {
        viewers.delete(changed);
        later(() => {
          if (!viewers.size) stop = stop?.() as undefined;
        });
      };
    },
  };
  return list;
}

function contentOf(payload: unknown): Pick<Message, 'data' | 'text' | 'bytes'> {
  if (typeof payload === 'string') return { text: payload };
  if (payload instanceof ArrayBuffer || ArrayBuffer.isView(payload)) {
    const { buffer = payload as ArrayBuffer, byteOffset, byteLength } = payload as Partial<ArrayBufferView>;
    return { bytes: new Uint8Array(buffer, byteOffset, byteLength) };
  }
  return { data: payload };
}
