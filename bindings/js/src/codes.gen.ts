// Made of protocol/src/code.rs: `MOORLINE_BLESS=1 cargo test -p moorline-wasm`. Do not edit.

/** Number, name, whether the same request can succeed later; in the order of the numbers. */
export const codes = [
  [100, "client.closed", false],
  [101, "client.signed_out", false],
  [102, "client.user", false],
  [103, "client.store_locked", true],
  [104, "client.store_corrupt", false],
  [105, "client.store_newer", false],
  [106, "client.runtime", false],
  [107, "client.random", false],
  [108, "client.tls", false],
  [109, "client.certificate", false],
  [120, "publish.expired", false],
  [121, "publish.dropped", true],
  [122, "publish.uncertain", false],
  [123, "call.uncertain", false],
  [200, "transport.unreachable", true],
  [201, "transport.tls", true],
  [202, "transport.upgrade", true],
  [210, "request.timeout", true],
  [220, "connection.displaced", false],
  [300, "auth.invalid", false],
  [301, "auth.expired", false],
  [302, "auth.revoked", false],
  [400, "request.malformed", false],
  [401, "request.order", false],
  [402, "request.unsupported", false],
  [410, "channel.invalid", false],
  [411, "channel.denied", false],
  [412, "channel.not_subscribed", false],
  [413, "channel.already_subscribed", false],
  [414, "channel.not_durable", false],
  [420, "app.unknown", false],
  [421, "feature.disabled", false],
  [422, "device.conflict", false],
  [423, "app.unavailable", true],
  [430, "call.refused", false],
  [431, "call.denied", false],
  [500, "server.internal", true],
  [501, "storage.unavailable", true],
  [502, "storage.full", true],
  [510, "call.unavailable", true],
  [511, "call.failed", false],
  [512, "call.timeout", false],
  [600, "publish.gap", true],
  [601, "publish.reused", false],
  [602, "publish.fenced", false],
  [603, "publish.unknown_producer", false],
  [700, "limit.message", false],
  [701, "limit.rate", true],
  [702, "limit.channels", true],
  [703, "limit.connections", true],
  [704, "limit.outbox", true],
  [705, "limit.calls", true],
] as const;

/** The codes of this version. A newer server may send others. */
export type KnownErrorCode =
  /** The client is closed. */
  | "client.closed"
  /** There is no token: nobody is signed in. */
  | "client.signed_out"
  /** The store is another user's. */
  | "client.user"
  /** Another client uses the store. */
  | "client.store_locked"
  /** The store cannot be read. */
  | "client.store_corrupt"
  /** The store was written by a newer version. */
  | "client.store_newer"
  /** The client has nothing to run on. */
  | "client.runtime"
  /** The system gave no random numbers. */
  | "client.random"
  /** TLS cannot be set up. */
  | "client.tls"
  /** This is no certificate. */
  | "client.certificate"
  /** The message outlived its `ttl` before it was sent. */
  | "publish.expired"
  /** A message at QoS 0 found no way out at the moment. */
  | "publish.dropped"
  /** Whether the message was stored cannot be known any more. */
  | "publish.uncertain"
  /** The call was sent and not answered: it may have been carried out. */
  | "call.uncertain"
  /** The server cannot be reached. */
  | "transport.unreachable"
  /** No secure connection came about. */
  | "transport.tls"
  /** The address does not open as a WebSocket. */
  | "transport.upgrade"
  /** The server did not answer in time. */
  | "request.timeout"
  /** Another connection of this device took over. */
  | "connection.displaced"
  /** The token is malformed, forged, or meant for someone else. */
  | "auth.invalid"
  /** The token has expired; fetch a new one. */
  | "auth.expired"
  /** The token or its user was revoked. */
  | "auth.revoked"
  /** The bytes are not a frame of this protocol. */
  | "request.malformed"
  /** The frame is not allowed at this point. */
  | "request.order"
  /** The server does not know this frame or feature. */
  | "request.unsupported"
  /** The channel name is not allowed. */
  | "channel.invalid"
  /** The token does not grant this. */
  | "channel.denied"
  /** This connection is not subscribed to the channel. */
  | "channel.not_subscribed"
  /** This connection is subscribed to the channel already. */
  | "channel.already_subscribed"
  /** A durable cursor needs a named user and a device. */
  | "channel.not_durable"
  /** The server has no app of this name. */
  | "app.unknown"
  /** The server or the app has this feature switched off. */
  | "feature.disabled"
  /** Several installations share one device id. */
  | "device.conflict"
  /** The app's backend does not answer at the moment. */
  | "app.unavailable"
  /** The app's backend refused the call. */
  | "call.refused"
  /** The token does not grant this method. */
  | "call.denied"
  /** The server failed; it has logged why. */
  | "server.internal"
  /** The log takes no writes at the moment. */
  | "storage.unavailable"
  /** The log has no room left. */
  | "storage.full"
  /** The app's backend takes no calls at the moment; this one was not carried out. */
  | "call.unavailable"
  /** The app's backend failed; it may have carried the call out. */
  | "call.failed"
  /** No answer came in time; the call may have been carried out. */
  | "call.timeout"
  /** A sequence is missing; resend from `expected`. */
  | "publish.gap"
  /** The id or sequence was used for another message. */
  | "publish.reused"
  /** A newer connection of this producer exists. */
  | "publish.fenced"
  /** The server does not know this producer (any more). */
  | "publish.unknown_producer"
  /** The message is larger than allowed. */
  | "limit.message"
  /** Too many requests; wait `after` ms. */
  | "limit.rate"
  /** Too many channels. */
  | "limit.channels"
  /** Too many connections of this user, or of the app. */
  | "limit.connections"
  /** The outbox is full (client). */
  | "limit.outbox"
  /** Too many calls without an answer. */
  | "limit.calls";
