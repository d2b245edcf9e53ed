// Made of protocol/src/code.rs by `cargo xtask bindings`. Do not edit.

extension MoorlineError.Code {
    /// The client is closed.
    public static let clientClosed = Self(rawValue: "client.closed")
    /// There is no token: nobody is signed in.
    public static let clientSignedOut = Self(rawValue: "client.signed_out")
    /// The store is another user's.
    public static let clientUser = Self(rawValue: "client.user")
    /// Another client uses the store.
    public static let clientStoreLocked = Self(rawValue: "client.store_locked")
    /// The store cannot be read.
    public static let clientStoreCorrupt = Self(rawValue: "client.store_corrupt")
    /// The store was written by a newer version.
    public static let clientStoreNewer = Self(rawValue: "client.store_newer")
    /// The client has nothing to run on.
    public static let clientRuntime = Self(rawValue: "client.runtime")
    /// The system gave no random numbers.
    public static let clientRandom = Self(rawValue: "client.random")
    /// TLS cannot be set up.
    public static let clientTls = Self(rawValue: "client.tls")
    /// This is no certificate.
    public static let clientCertificate = Self(rawValue: "client.certificate")
    /// The message outlived its `ttl` before it was sent.
    public static let publishExpired = Self(rawValue: "publish.expired")
    /// A message at QoS 0 found no way out at the moment.
    public static let publishDropped = Self(rawValue: "publish.dropped")
    /// Whether the message was stored cannot be known any more.
    public static let publishUncertain = Self(rawValue: "publish.uncertain")
    /// The call was sent and not answered: it may have been carried out.
    public static let callUncertain = Self(rawValue: "call.uncertain")
    /// The server cannot be reached.
    public static let transportUnreachable = Self(rawValue: "transport.unreachable")
    /// No secure connection came about.
    public static let transportTls = Self(rawValue: "transport.tls")
    /// The address does not open as a WebSocket.
    public static let transportUpgrade = Self(rawValue: "transport.upgrade")
    /// The server did not answer in time.
    public static let requestTimeout = Self(rawValue: "request.timeout")
    /// Another connection of this device took over.
    public static let connectionDisplaced = Self(rawValue: "connection.displaced")
    /// The token is malformed, forged, or meant for someone else.
    public static let authInvalid = Self(rawValue: "auth.invalid")
    /// The token has expired; fetch a new one.
    public static let authExpired = Self(rawValue: "auth.expired")
    /// The token or its user was revoked.
    public static let authRevoked = Self(rawValue: "auth.revoked")
    /// The bytes are not a frame of this protocol.
    public static let requestMalformed = Self(rawValue: "request.malformed")
    /// The frame is not allowed at this point.
    public static let requestOrder = Self(rawValue: "request.order")
    /// The server does not know this frame or feature.
    public static let requestUnsupported = Self(rawValue: "request.unsupported")
    /// The channel name is not allowed.
    public static let channelInvalid = Self(rawValue: "channel.invalid")
    /// The token does not grant this.
    public static let channelDenied = Self(rawValue: "channel.denied")
    /// This connection is not subscribed to the channel.
    public static let channelNotSubscribed = Self(rawValue: "channel.not_subscribed")
    /// This connection is subscribed to the channel already.
    public static let channelAlreadySubscribed = Self(rawValue: "channel.already_subscribed")
    /// A durable cursor needs a named user and a device.
    public static let channelNotDurable = Self(rawValue: "channel.not_durable")
    /// The server has no app of this name.
    public static let appUnknown = Self(rawValue: "app.unknown")
    /// The server or the app has this feature switched off.
    public static let featureDisabled = Self(rawValue: "feature.disabled")
    /// Several installations share one device id.
    public static let deviceConflict = Self(rawValue: "device.conflict")
    /// The app's backend does not answer at the moment.
    public static let appUnavailable = Self(rawValue: "app.unavailable")
    /// The app's backend refused the call.
    public static let callRefused = Self(rawValue: "call.refused")
    /// The token does not grant this method.
    public static let callDenied = Self(rawValue: "call.denied")
    /// The server failed; it has logged why.
    public static let serverInternal = Self(rawValue: "server.internal")
    /// The log takes no writes at the moment.
    public static let storageUnavailable = Self(rawValue: "storage.unavailable")
    /// The log has no room left.
    public static let storageFull = Self(rawValue: "storage.full")
    /// The app's backend takes no calls at the moment; this one was not carried out.
    public static let callUnavailable = Self(rawValue: "call.unavailable")
    /// The app's backend failed; it may have carried the call out.
    public static let callFailed = Self(rawValue: "call.failed")
    /// No answer came in time; the call may have been carried out.
    public static let callTimeout = Self(rawValue: "call.timeout")
    /// A sequence is missing; resend from `expected`.
    public static let publishGap = Self(rawValue: "publish.gap")
    /// The id or sequence was used for another message.
    public static let publishReused = Self(rawValue: "publish.reused")
    /// A newer connection of this producer exists.
    public static let publishFenced = Self(rawValue: "publish.fenced")
    /// The server does not know this producer (any more).
    public static let publishUnknownProducer = Self(rawValue: "publish.unknown_producer")
    /// The message is larger than allowed.
    public static let limitMessage = Self(rawValue: "limit.message")
    /// Too many requests; wait `after` ms.
    public static let limitRate = Self(rawValue: "limit.rate")
    /// Too many channels.
    public static let limitChannels = Self(rawValue: "limit.channels")
    /// Too many connections of this user, or of the app.
    public static let limitConnections = Self(rawValue: "limit.connections")
    /// The outbox is full (client).
    public static let limitOutbox = Self(rawValue: "limit.outbox")
    /// Too many calls without an answer.
    public static let limitCalls = Self(rawValue: "limit.calls")
}
