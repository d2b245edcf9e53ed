import Foundation
internal import MoorlineFFI

/// A client: one connection, one outbox. Use it from any task or thread.
///
/// Making one does nothing but read its store: the first use connects, or ``connect()``. ``close()`` ends it properly. When the last
/// reference goes without that, the connection ends at once and without a goodbye; what was published is still written to the
/// store.
public final class Moorline: Sendable {
    private let core: FfiClient
    private let tokens: TokenSource?
    private let signals: SystemSignals?
    private let logging: Logging?

    /// Makes a client.
    ///
    /// - Throws: ``MoorlineError``: `request.malformed` for what is no URL of a server, `client.certificate`, and for a store in a
    ///   file `client.store_locked`, `client.store_corrupt`, `client.store_newer`.
    public init(_ options: Options) throws {
        let (made, tokens) = options.ffi
        core = try converting { try FfiClient(options: made, tokens: tokens) }
        self.tokens = tokens
        signals = options.followsSystem ? SystemSignals(core) : nil
        logging = options.log.map(Logging.init)
    }

    /// Makes a client for a server, with a token that never changes, or none.
    ///
    /// - Throws: as ``init(_:)``.
    public convenience init(
        url: URL, token: String? = nil, store: Store = .memory, configure: (inout Options) -> Void = { _ in }
    ) throws {
        var options = Options(url: url)
        options.token = token.map(Token.fixed) ?? .none
        options.store = store
        configure(&options)
        try self.init(options)
    }

    /// Makes a client for a server, with a function that fetches tokens. See ``Token/provider(_:)``, which is also told why.
    ///
    /// - Throws: as ``init(_:)``.
    public convenience init(
        url: URL, token: @escaping @Sendable () async throws -> String, store: Store = .memory,
        configure: (inout Options) -> Void = { _ in }
    ) throws {
        var options = Options(url: url)
        options.token = .provider { _ in try await token() }
        options.store = store
        configure(&options)
        try self.init(options)
    }

    deinit {
        tokens?.close()
    }

    /// The connection's state.
    public var state: ConnectionState { ConnectionState(core.connection()) }

    /// The connection's state and its changes, for `for await`.
    public var states: Latest<ConnectionState> {
        Latest { [core] in
            core.connections()
        } map: { event in
            guard case .connection(let connection) = event else { return nil }
            return ConnectionState(connection)
        }
    }

    /// Who the server says this is; `nil` before it has, and for nobody.
    public var user: String? { core.connection().user }

    /// What waits to be sent.
    public var outbox: Outbox { Outbox(core.outbox()) }

    /// What waits to be sent and its changes, for `for await`.
    public var outboxes: Latest<Outbox> {
        Latest { [core] in
            core.outboxes()
        } map: { event in
            guard case .outbox(let outbox) = event else { return nil }
            return Outbox(outbox)
        }
    }

    /// What the store had in its outbox when this client was made, in order; it goes out by itself.
    public var restored: [Receipt] { core.restored().map(Receipt.init) }

    /// Connects, and waits until the server has welcomed this client, however long that takes. Optional: the first use of a channel
    /// connects, too. Cancelling stops the wait alone.
    ///
    /// - Throws: ``MoorlineError``: a final refusal, such as `auth.invalid`; `request.order` when ``disconnect()`` is called
    ///   meanwhile; `client.closed`.
    public func connect() async throws {
        begin()
        try await cancellable { [core] cancel in try await core.connect(cancel: cancel) }
    }

    /// Ends the connection; channels and the outbox stay. ``connect()`` goes on with them.
    public func disconnect() {
        core.disconnect()
    }

    /// Names a channel, to read it or to publish on it. Nothing is read before an iteration begins.
    ///
    /// - Parameters:
    ///   - name: 1 to 128 bytes, such as `room:42`.
    ///   - durable: Whether the server keeps a cursor for this user, device and channel: messages come again until they are
    ///     acknowledged.
    ///   - qos: The highest level wanted, and the level published at (default ``Qos/atLeastOnce``; durable readers take
    ///     ``Qos/exactlyOnce``).
    ///   - presence: Whether the channel's members are watched, or joined, while it is read.
    ///   - state: With ``PresenceMode/join``: what this member says about itself, JSON of at most 4,096 bytes.
    ///   - since: Where reading begins.
    ///   - resetsToLive: Goes on from now when that cannot be honoured, instead of with the oldest message kept.
    ///   - acknowledges: When messages of a durable channel count as done.
    public func channel(
        _ name: String, durable: Bool = false, qos: Qos? = nil, presence: PresenceMode = .off, state: (any Encodable & Sendable)? = nil,
        since: Since = .resume, resetsToLive: Bool = false, acknowledges: Acknowledgement = .automatic
    ) -> Channel {
        begin()
        let made = Result {
            try converting {
                let options = FfiChannelOptions(
                    qos: qos?.ffi, durable: durable, presence: presence.ffi, state: try state.map { try jsonText($0) },
                    since: since.ffi, resetToLive: resetsToLive, autoAck: acknowledges == .automatic
                )
                return try core.channel(name: name, options: options)
            }
        }
        return Channel(name: name, core: made, confirms: durable && acknowledges == .automatic)
    }

    /// Asks which of at most 500 users are online. That needs the grant `presence` for each one's inbox (`@alice`). Cancelling stops
    /// the wait.
    ///
    /// - Throws: ``MoorlineError``: `request.malformed` for what is no list of users, or what the server answers.
    public func status(of users: [String]) async throws -> [String: Status] {
        begin()
        let found = try await cancellable { [core] cancel in try await core.status(users: users, cancel: cancel) }
        return found.byUser
    }

    /// Asks the app's backend something: `try await client.call("cart.add", try Payload(json: item))`. A call waits for a connection
    /// and is sent once at most; it ends within `timeout` (1 ms to 30 s). Cancelling stops the wait, and does not take back what
    /// was sent.
    ///
    /// - Parameters:
    ///   - method: 1 to 128 of `A-Z a-z 0-9 _ . : / -`, such as `cart.add`.
    ///   - payload: What it is asked with; at most 64 KiB, unless the server allows another size.
    ///   - timeout: For how long an answer is awaited.
    ///   - id: Names the call for the backend, 1 to 128 bytes (default: random): by it, the backend can tell that a call is made again.
    /// - Throws: ``MoorlineError``: `call.refused`, or that and the backend's own word behind a dot; `call.uncertain`,
    ///   `call.timeout` and `call.failed` where it may have been carried out; other codes where it was not.
    public func call(
        _ method: String, _ payload: Payload = .null, timeout: Duration = .seconds(10), id: String? = nil
    ) async throws -> Payload {
        begin()
        // What does not fit is refused as too long or too short.
        let ms = UInt32(min(max(timeout / .milliseconds(1), 0), 4_000_000_000))
        let answer = try await cancellable { [core] cancel in
            try await core.call(method: method, payload: payload.ffi, timeoutMs: ms, id: id, cancel: cancel)
        }
        return Payload(answer)
    }

    /// Follows whether at most 500 users are online: first each one's status, then who came or went. A later iteration takes over.
    /// The iteration throws what the server refuses, and `request.malformed` for what is no list of users.
    public func statuses(of users: [String]) -> Feed<[String: Status]> {
        begin()
        return Feed { [core] in
            try core.statuses(users: users)
        } map: { event in
            guard case .statuses(let users) = event else { return nil }
            return users.byUser
        }
    }

    /// Tells the client what happens to the app or the device, where ``Options/followsSystem`` does not.
    public func lifecycle(_ signal: LifecycleSignal) {
        core.lifecycle(signal: signal.ffi)
    }

    /// Says where your backend reaches this device while its user is away, such as with its APNs token (1 to 512 bytes); `nil` takes
    /// it back. Say it after each start.
    ///
    /// - Throws: ``MoorlineError``: `request.malformed` for an empty or too long handle, `client.closed`.
    public func setPushHandle(_ handle: String?) throws {
        try converting { try core.setPushHandle(handle: handle) }
    }

    /// A record of what this client was told, at most 256 KiB, for a report of a fault. Payloads, header values and tokens are not in
    /// it; names of channels and users, message ids and URLs are.
    public func blackbox() -> Data {
        core.blackbox()
    }

    /// Sends outstanding acknowledgements, flushes the store and closes it; takes seconds at most, also without a connection. Unsent
    /// messages stay in the store; receipts and iterations end. Afterwards every call fails with `client.closed`. Calling it again
    /// does nothing. Cancelling does not stop it.
    public func close() async {
        signals?.end()
        // What the store did not take, its receipt has told.
        try? await core.close(wipe: false)
        tokens?.close()
        await logging?.end()
    }

    /// Logs out: as ``close()``, and nothing of this user stays in the store.
    ///
    /// - Throws: ``MoorlineError``: why the store may not be cleared.
    public func closeAndWipe() async throws {
        signals?.end()
        let wiped: Result<Void, any Error>
        do {
            wiped = .success(try await core.close(wipe: true))
        } catch {
            wiped = .failure(error.asMoorline)
        }
        tokens?.close()
        await logging?.end()
        try wiped.get()
    }

    /// What runs beside the core, from the first use on.
    private func begin() {
        signals?.begin()
        logging?.begin(core)
    }
}

/// Makes a client, hands it to `body`, and closes it whatever becomes of that.
///
/// - Throws: as ``Moorline/init(_:)``, and what `body` throws.
public func withMoorline<Result: Sendable>(
    _ options: Options, isolation: isolated (any Actor)? = #isolation, _ body: (Moorline) async throws -> Result
) async throws -> Result {
    let client = try Moorline(options)
    do {
        let result = try await body(client)
        await client.close()
        return result
    } catch {
        await client.close()
        throw error
    }
}

/// Makes a client for a server, hands it to `body`, and closes it whatever becomes of that. As ``withMoorline(_:isolation:_:)``.
public func withMoorline<Result: Sendable>(
    url: URL, token: String? = nil, store: Store = .memory, isolation: isolated (any Actor)? = #isolation,
    _ body: (Moorline) async throws -> Result
) async throws -> Result {
    var options = Options(url: url)
    options.token = token.map(Token.fixed) ?? .none
    options.store = store
    return try await withMoorline(options, isolation: isolation, body)
}

extension Options {
    fileprivate var ffi: (FfiClientOptions, TokenSource?) {
        var (fixed, source): (String?, TokenSource?) = (nil, nil)
        switch token {
        case .none: break
        case .fixed(let token): fixed = token
        case .provider(let fetch): source = TokenSource(fetch)
        }
        let made = FfiClientOptions(
            urls: urls.map(\.absoluteString), sdk: "moorline-swift/\(version())", token: fixed, store: store.path,
            rootCertificates: rootCertificates, compression: compression, outboxMessages: outboxMessages.map(UInt64.init(clamping:)),
            outboxBytes: outboxBytes.map(UInt64.init(clamping:)), queueMessages: queueMessages.map(UInt64.init(clamping:)),
            queueBytes: queueBytes.map(UInt64.init(clamping:)), minBackoffMs: minimumBackoff?.ms, maxBackoffMs: maximumBackoff?.ms,
            connectTimeoutMs: connectTimeout?.ms
        )
        return (made, source)
    }
}

extension [FfiUserStatus] {
    fileprivate var byUser: [String: Status] {
        Dictionary(map { ($0.user, Status($0)) }, uniquingKeysWith: { $1 })
    }
}
