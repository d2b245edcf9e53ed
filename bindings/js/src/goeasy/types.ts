import type { Client, ClientOptions } from '../client.js';
import type { Host } from '../host/host.js';

/** What a call of GoEasy ends with, also what is thrown where a call has no `onFailed`. */
export interface GoEasyResult<Content = string> {
  /** 200; 400 for a bad call, 401 for what is not allowed, 408 for what could not be reached. */
  readonly code: number;
  readonly content: Content;
}

/**
 * How a call ends: one of the two is called, once. With `disconnect`, a `connect` that does not stand yet ends with neither. A publish
 * that is kept when its connection ends does so with one of them once the same id is back.
 */
export interface Callbacks<Success extends readonly unknown[]> {
  readonly onSuccess?: ((...result: Success) => void) | undefined;
  readonly onFailed?: ((error: GoEasyError) => void) | undefined;
}

/** Why a call failed. */
export interface GoEasyError extends Error, GoEasyResult {}

export interface GoEasyOptions {
  /** The Moorline server: `chat.example.com`, `chat.example.com:8443`, or a whole `wss://` URL. */
  readonly host: string;
  /** The app of the server, as in `/ws/<app>`. Not used where `host` is a whole URL. */
  readonly appkey: string;
  /** `['pubsub']`. */
  readonly modules: readonly string[];
  /** False: `ws://` instead of `wss://` (default true). */
  readonly forceTLS?: boolean;
  /** What the server is shown: a token, or who gives one for an id. Without it: the `otp` of `connect`, else `dev:<id>`, which a server in development takes. */
  readonly token?: string | ((id: string | undefined) => string | null | Promise<string | null>);
  /** Whether everybody who subscribes with an id is a member, seen by others, as up to 2.6; a `presence` of `subscribe` counts more (default false). */
  readonly everyoneIsMember?: boolean;
  /** What the client of Moorline is made with beside that. Without a `store`, each id has one of its own. */
  readonly client?: Omit<ClientOptions, 'url' | 'token'>;
}

export interface ConnectOptions extends Callbacks<[]> {
  /** Who connects: at most 60 characters. The token's user must be the same. */
  readonly id?: string;
  /** What others see of this member, at most 300 characters of JSON. */
  readonly data?: object;
  /** A token of the Moorline server, where `getInstance` was given none. */
  readonly otp?: string;
  /** How many attempts there were: 0 at once, then one more with each that follows. */
  readonly onProgress?: (attempts: number) => void;
}

export type ChannelKey = string | number;

export interface GoEasyMessage {
  /** When the server stored it, ms since 1970. */
  readonly time: number;
  readonly channel: string;
  readonly content: string;
}

export interface Notification {
  readonly title: string;
  readonly body: string;
  readonly [name: string]: unknown;
}

export interface PublishOptions extends Callbacks<[result: GoEasyResult]> {
  readonly channel: ChannelKey;
  readonly message: string;
  /** 1: whoever subscribed with an id and is away gets it on coming back (default 0). */
  readonly qos?: -1 | 0 | 1;
  /** Goes along as the header `goeasy-notification`, for your push service behind a webhook. */
  readonly notification?: Notification;
}

export interface SubscribeOptions extends Callbacks<[result: GoEasyResult]> {
  readonly channel?: ChannelKey;
  /** Several, instead of `channel`: 1 to 100, each once. */
  readonly channels?: readonly ChannelKey[];
  /** Whether this client is a member of the channel, seen by others. Needs an id. */
  readonly presence?: { readonly enable: boolean };
  readonly onMessage: (message: GoEasyMessage) => void;
}

export interface UnsubscribeOptions extends Callbacks<[result: GoEasyResult]> {
  readonly channel: ChannelKey;
}

export interface HistoryOptions extends Callbacks<[result: GoEasyResult<{ readonly messages: readonly HistoryMessage[] }>]> {
  readonly channel: ChannelKey;
  /** 1 to 30 (default 10). */
  readonly limit?: number;
  /** ms since 1970, each included. */
  readonly start?: number | null;
  readonly end?: number | null;
}

export interface HistoryMessage {
  readonly time: number;
  readonly content: string;
}

export interface GoEasyMember {
  readonly id: string;
  readonly data: unknown;
}

/** A change of members, in the shape of the 2.7 and later and of the earlier generation at once. */
export interface PresenceEvent {
  readonly channel: string;
  readonly action: string;
  readonly member: GoEasyMember;
  readonly time: number;
  /** How many members there are. */
  readonly amount: number;
  /** The newest first, at most `membersLimit`. */
  readonly members: readonly GoEasyMember[];
  readonly clientAmount: number;
  readonly userAmount: number;
  readonly events: readonly { readonly time: number; readonly action: string; readonly id: string; readonly data: unknown }[];
}

export interface SubscribePresenceOptions extends Callbacks<[]> {
  readonly channel?: ChannelKey;
  readonly channels?: readonly ChannelKey[];
  /** 1 to 100 (default 10). */
  readonly membersLimit?: number;
  readonly onPresence: (event: PresenceEvent) => void;
}

export interface HereNow {
  readonly channel: string;
  readonly amount: number;
  readonly members: readonly GoEasyMember[];
}

/** The earlier generation, for a call with `channels`. */
export interface HereNowChannels {
  readonly channels: Readonly<Record<string, {
    readonly channel: string;
    readonly clientAmount: number;
    readonly userAmount: number;
    readonly users?: readonly GoEasyMember[];
  }>>;
}

export interface HereNowOptions extends Callbacks<[result: GoEasyResult<HereNow & HereNowChannels>]> {
  readonly channel?: ChannelKey;
  readonly channels?: readonly ChannelKey[];
  /** 1 to 100 (default 10). */
  readonly limit?: number;
  /** With `channels`: whether members are named (default false). */
  readonly includeUsers?: boolean;
}

export type ConnectionStatus =
  | 'disconnected'
  | 'disconnecting'
  | 'connecting'
  | 'connected'
  | 'reconnecting'
  | 'reconnected'
  | 'connect_failed';

/** What the façade stands on. */
export interface Base {
  readonly createClient: (options: ClientOptions) => Client;
  /** The platform (default: chosen by the entry of `createClient`). */
  readonly host?: () => Host;
}
