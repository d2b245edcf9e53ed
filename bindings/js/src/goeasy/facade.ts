import { version } from '../version.js';
import { urlOf } from './check.js';
import { Connection } from './connection.js';
import { begin, failure } from './failure.js';
import { PubSubPresence } from './presence.js';
import { PubSub } from './pubsub.js';
import { Rooms } from './rooms.js';
import type { Base, Callbacks, ConnectOptions, ConnectionStatus, GoEasyOptions } from './types.js';

/** The calls of GoEasy's pubsub module. */
export type GoEasyPubSub =
  & Pick<PubSub, 'publish' | 'subscribe' | 'unsubscribe' | 'history'>
  & Pick<PubSubPresence, 'subscribePresence' | 'unsubscribePresence' | 'hereNow' | 'hereNowByUserIds'>;

/** A GoEasy whose messages go over Moorline. The class and its only instance are the same object. */
export interface GoEasy {
  /** Says which server; returns this object. Throws `{ code: 400, content }` for options that make no sense. */
  getInstance(options: GoEasyOptions): GoEasy;
  init(options: GoEasyOptions): GoEasy;
  connect(options: ConnectOptions): void;
  disconnect(options?: Callbacks<[]>): void;
  getConnectionStatus(): ConnectionStatus;
  readonly pubsub: GoEasyPubSub;
  /** The instant-messaging module is not there: each of its calls fails and says what to use. */
  readonly im: Readonly<Record<string, (options?: Callbacks<never>) => void>>;
  setBadge(options?: Callbacks<never>): void;
  onClickNotification(handler?: unknown): void;
  readonly version: string;
  readonly IM_EVENT: Readonly<Record<string, string>>;
  readonly IM_SCENE: Readonly<Record<string, string>>;
  readonly default: GoEasy;
}

const imCalls = [
  'on', 'off', 'sendMessage', 'recallMessage', 'deleteMessage', 'history', 'latestConversations', 'loadConversations',
  'loadMoreConversations', 'topConversation', 'removeConversation', 'topPrivateConversation', 'topGroupConversation',
  'removePrivateConversation', 'removeGroupConversation', 'markMessageAsRead', 'markPrivateMessageAsRead',
  'markGroupMessageAsRead', 'subscribeGroup', 'unsubscribeGroup', 'subscribeUserPresence', 'unsubscribeUserPresence', 'hereNow',
  'subscribeGroupPresence', 'unsubscribeGroupPresence', 'groupHereNow', 'groupOnlineCount', 'csteam', 'pendingConversations',
  'createTextMessage', 'createImageMessage', 'createFileMessage', 'createAudioMessage', 'createVideoMessage', 'createCustomMessage',
];
const imEvents = [
  'PRIVATE_MESSAGE_RECEIVED', 'GROUP_MESSAGE_RECEIVED', 'SYSTEM_MESSAGE_RECEIVED', 'CS_MESSAGE_RECEIVED', 'CONVERSATIONS_UPDATED',
  'PENDING_CONVERSATIONS_UPDATED', 'MESSAGE_READ', 'MESSAGE_RECALLED', 'MESSAGE_DELETED', 'USER_PRESENCE', 'GROUP_PRESENCE', 'HISTORY_EXPIRED',
];

const instead =
  'use channels: @<user> for one person, a channel per group, durable subscriptions for what arrives offline, history() and presence';

/** Makes a GoEasy on an entry of Moorline. */
export function makeGoEasy(base: Base): GoEasy {
  let setup: { readonly options: GoEasyOptions; readonly url: string } | undefined;
  const connection: Connection = new Connection(
    base,
    () => {
      if (!setup) throw failure(400, 'getInstance: call it first, with host, appkey and modules.');
      return setup;
    },
    {
      onBegun: (connected) => messages.onBegun(connected),
      onEnd: (error) => rooms.clear(error),
    },
  );
  const rooms = new Rooms(connection);
  const messages = new PubSub(connection, rooms);
  const presence = new PubSubPresence(connection, rooms);

  /** Calls a method if the module is on. */
  const guarded = <Options extends Callbacks<never>>(call: (options: Options) => void) => (options: Options): void =>
    begin(options, () => {
      if (setup && !setup.options.modules.some((name) => name.toUpperCase() === 'PUBSUB')) {
        throw failure(400, "PubSub not initialized. Please include 'PUBSUB' in the 'modules' during GoEasy initialization.");
      }
      if (typeof options !== 'object' || options === null) throw failure(400, 'pass an object with onSuccess and onFailed.');
      return () => call(options);
    });
  const missing = (name: string, use: string) => (options?: Callbacks<never>): void =>
    begin(typeof options === 'object' ? options : undefined, () => {
      throw failure(400, `${name} is not there with Moorline: ${use}.`);
    });

  const getInstance = (options: GoEasyOptions): GoEasy => {
    const url = urlOf(options);
    if (!connection.isIdle) {
      if (setup?.url === url) return facade;
      throw failure(400, 'Initialization failed. Please disconnect and try again.');
    }
    setup = { options, url };
    return facade;
  };
  const im: Record<string, (options?: Callbacks<never>) => void> = {};
  for (const name of imCalls) im[name] = missing(`im.${name}`, instead);
  const events: Record<string, string> = {};
  for (const name of imEvents) events[name] = name;

  const members = {
    getInstance,
    init: getInstance,
    connect: (options: ConnectOptions) => connection.connect(options),
    disconnect: (options?: Callbacks<[]>) => connection.disconnect(options),
    getConnectionStatus: () => connection.status,
    pubsub: {
      publish: guarded(messages.publish.bind(messages)),
      subscribe: guarded(messages.subscribe.bind(messages)),
      unsubscribe: guarded(messages.unsubscribe.bind(messages)),
      history: guarded(messages.history.bind(messages)),
      subscribePresence: guarded(presence.subscribePresence.bind(presence)),
      unsubscribePresence: guarded(presence.unsubscribePresence.bind(presence)),
      hereNow: guarded(presence.hereNow.bind(presence)),
      hereNowByUserIds: guarded(presence.hereNowByUserIds.bind(presence)),
    },
    im,
    setBadge: missing('setBadge', 'the badge comes with the push message that your server sends'),
    onClickNotification: missing('onClickNotification', 'ask the push library of your platform'),
    version: `moorline-${version}`,
    IM_EVENT: events,
    IM_SCENE: { PRIVATE: 'private', GROUP: 'group', SYSTEM: 'system', CS: 'cs' },
  };
  const facade = Object.assign(function GoEasy(options: GoEasyOptions) {
    return getInstance(options);
  }, members) as unknown as GoEasy & { default: GoEasy };
  facade.default = facade;
  return facade;
}
