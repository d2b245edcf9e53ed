// Made of protocol/src/code.rs by `cargo xtask bindings`. Do not edit.
package dev.moorline

/** The codes of this version. A newer server may send others. */
public object ErrorCode {
    /** The client is closed. */
    public const val CLIENT_CLOSED: String = "client.closed"

    /** There is no token: nobody is signed in. */
    public const val CLIENT_SIGNED_OUT: String = "client.signed_out"

    /** The store is another user's. */
    public const val CLIENT_USER: String = "client.user"

    /** Another client uses the store. */
    public const val CLIENT_STORE_LOCKED: String = "client.store_locked"

    /** The store cannot be read. */
    public const val CLIENT_STORE_CORRUPT: String = "client.store_corrupt"

    /** The store was written by a newer version. */
    public const val CLIENT_STORE_NEWER: String = "client.store_newer"

    /** The client has nothing to run on. */
    public const val CLIENT_RUNTIME: String = "client.runtime"

    /** The system gave no random numbers. */
    public const val CLIENT_RANDOM: String = "client.random"

    /** TLS cannot be set up. */
    public const val CLIENT_TLS: String = "client.tls"

    /** This is no certificate. */
    public const val CLIENT_CERTIFICATE: String = "client.certificate"

    /** The message outlived its `ttl` before it was sent. */
    public const val PUBLISH_EXPIRED: String = "publish.expired"

    /** A message at QoS 0 found no way out at the moment. */
    public const val PUBLISH_DROPPED: String = "publish.dropped"

    /** Whether the message was stored cannot be known any more. */
    public const val PUBLISH_UNCERTAIN: String = "publish.uncertain"

    /** The call was sent and not answered: it may have been carried out. */
    public const val CALL_UNCERTAIN: String = "call.uncertain"

    /** The server cannot be reached. */
    public const val TRANSPORT_UNREACHABLE: String = "transport.unreachable"

    /** No secure connection came about. */
    public const val TRANSPORT_TLS: String = "transport.tls"

    /** The address does not open as a WebSocket. */
    public const val TRANSPORT_UPGRADE: String = "transport.upgrade"

    /** The server did not answer in time. */
    public const val REQUEST_TIMEOUT: String = "request.timeout"

    /** Another connection of this device took over. */
    public const val CONNECTION_DISPLACED: String = "connection.displaced"

    /** The token is malformed, forged, or meant for someone else. */
    public const val AUTH_INVALID: String = "auth.invalid"

    /** The token has expired; fetch a new one. */
    public const val AUTH_EXPIRED: String = "auth.expired"

    /** The token or its user was revoked. */
    public const val AUTH_REVOKED: String = "auth.revoked"

    /** The bytes are not a frame of this protocol. */
    public const val REQUEST_MALFORMED: String = "request.malformed"

    /** The frame is not allowed at this point. */
    public const val REQUEST_ORDER: String = "request.order"

    /** The server does not know this frame or feature. */
    public const val REQUEST_UNSUPPORTED: String = "request.unsupported"

    /** The channel name is not allowed. */
    public const val CHANNEL_INVALID: String = "channel.invalid"

    /** The token does not grant this. */
    public const val CHANNEL_DENIED: String = "channel.denied"

    /** This connection is not subscribed to the channel. */
    public const val CHANNEL_NOT_SUBSCRIBED: String = "channel.not_subscribed"

    /** This connection is subscribed to the channel already. */
    public const val CHANNEL_ALREADY_SUBSCRIBED: String = "channel.already_subscribed"

    /** A durable cursor needs a named user and a device. */
    public const val CHANNEL_NOT_DURABLE: String = "channel.not_durable"

    /** The server has no app of this name. */
    public const val APP_UNKNOWN: String = "app.unknown"

    /** The server or the app has this feature switched off. */
    public const val FEATURE_DISABLED: String = "feature.disabled"

    /** Several installations share one device id. */
    public const val DEVICE_CONFLICT: String = "device.conflict"

    /** The app's backend does not answer at the moment. */
    public const val APP_UNAVAILABLE: String = "app.unavailable"

    /** The app's backend refused the call. */
    public const val CALL_REFUSED: String = "call.refused"

    /** The token does not grant this method. */
    public const val CALL_DENIED: String = "call.denied"

    /** The server failed; it has logged why. */
    public const val SERVER_INTERNAL: String = "server.internal"

    /** The log takes no writes at the moment. */
    public const val STORAGE_UNAVAILABLE: String = "storage.unavailable"

    /** The log has no room left. */
    public const val STORAGE_FULL: String = "storage.full"

    /** The app's backend takes no calls at the moment; this one was not carried out. */
    public const val CALL_UNAVAILABLE: String = "call.unavailable"

    /** The app's backend failed; it may have carried the call out. */
    public const val CALL_FAILED: String = "call.failed"

    /** No answer came in time; the call may have been carried out. */
    public const val CALL_TIMEOUT: String = "call.timeout"

    /** A sequence is missing; resend from `expected`. */
    public const val PUBLISH_GAP: String = "publish.gap"

    /** The id or sequence was used for another message. */
    public const val PUBLISH_REUSED: String = "publish.reused"

    /** A newer connection of this producer exists. */
    public const val PUBLISH_FENCED: String = "publish.fenced"

    /** The server does not know this producer (any more). */
    public const val PUBLISH_UNKNOWN_PRODUCER: String = "publish.unknown_producer"

    /** The message is larger than allowed. */
    public const val LIMIT_MESSAGE: String = "limit.message"

    /** Too many requests; wait `after` ms. */
    public const val LIMIT_RATE: String = "limit.rate"

    /** Too many channels. */
    public const val LIMIT_CHANNELS: String = "limit.channels"

    /** Too many connections of this user, or of the app. */
    public const val LIMIT_CONNECTIONS: String = "limit.connections"

    /** The outbox is full (client). */
    public const val LIMIT_OUTBOX: String = "limit.outbox"

    /** Too many calls without an answer. */
    public const val LIMIT_CALLS: String = "limit.calls"
}
