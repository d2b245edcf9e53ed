export type { Channel, ChannelEvents } from './channel.js';
export type { Client, ClientOptions } from './client.js';
export type { TokenReason } from './core/records.js';
export type { TokenProvider } from './engine.js';
export { MoorlineError, isMoorlineError, type ErrorCode, type ErrorOrigin } from './errors.js';
export type { KnownErrorCode } from './codes.gen.js';
export type { HistoryQuery } from './history.js';
export type { Host, HostName, HostSignal, Socket, SocketEvents, Store, StoreBatch, StoreEntry } from './host/host.js';
export type { AbortSignalLike, Messages, MessagesOptions } from './messages.js';
export type { CallOptions, ChannelOptions, PublishOptions } from './options.js';
export type { Members, Presence, PresenceEvents, PresenceInfo } from './presence.js';
export type { Receipt, ReceiptState, Stored } from './receipt.js';
export type { ClientEvents } from './session.js';
export type { Source } from './source.js';
export { indexedDb, type IndexedDbOptions } from './store/indexeddb.js';
export { memory } from './store/memory.js';
export type {
  Connection, ConnectionState, Headers, HistoryPage, Json, Member, MemberChange, MembersPage, Message, OutboxStats,
  Position, Qos, Reset, Since, StateReason, Status, Subscribed,
} from './types.js';
export { version } from './version.js';
