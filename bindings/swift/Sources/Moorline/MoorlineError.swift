/// What went wrong: a stable code, and a sentence that says what to do.
///
/// Cancelling is never one: a task that is cancelled ends with `CancellationError`.
public struct MoorlineError: Error, Sendable {
    /// A stable code, such as `auth.expired`. Codes of later versions survive as their text.
    public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        /// The name on the wire.
        public let rawValue: String

        /// Makes a code of its name.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        public var description: String { rawValue }
    }

    /// Who says so.
    public enum Origin: Sendable, Hashable {
        /// This client.
        case client
        /// The server.
        case server
        /// The connection.
        case transport
    }

    /// What a caller can do about it.
    public enum Kind: Sendable, Hashable {
        /// Sign in, or get another token.
        case auth
        /// Wait, send less, or make it smaller.
        case limit
        /// Change the call.
        case rejected
        /// What became of a message or of a position is not as hoped for.
        case continuity
        /// Wait for the network, or look at the address.
        case transport
        /// Make a new client.
        case closed
        /// Report it.
        case `internal`
    }

    /// The stable code: what to switch over.
    public let code: Code
    /// The stable number, 100 to 999 (1xx client, 2xx transport, 3xx auth, 4xx request, 5xx server, 6xx continuity, 7xx limits);
    /// 0 for codes of later versions.
    public let number: Int
    /// One sentence for developers.
    public let message: String
    /// Whether the same call can succeed later.
    public let isRetryable: Bool
    /// How long to wait before the same is tried again, to the millisecond, where the server says so, as with `limit.rate`.
    public let retryAfter: Duration?
    /// Who says so.
    public let origin: Origin
    /// What to do about it.
    public let kind: Kind
    /// What brought it about, where that is an error of Swift's: an encoder's, for instance.
    public let cause: (any Error)?

    init(
        code: Code, number: Int, message: String, isRetryable: Bool, retryAfter: Duration? = nil, origin: Origin, kind: Kind,
        cause: (any Error)? = nil
    ) {
        self.code = code
        self.number = number
        self.message = message
        self.isRetryable = isRetryable
        self.retryAfter = retryAfter
        self.origin = origin
        self.kind = kind
        self.cause = cause
    }

    static func malformed(_ message: String, cause: (any Error)? = nil) -> Self {
        Self(
            code: .requestMalformed, number: 400, message: message, isRetryable: false, origin: .client, kind: .rejected,
            cause: cause
        )
    }
}

extension MoorlineError: CustomStringConvertible {
    public var description: String { "\(message) (\(code))" }
}

extension MoorlineError: Hashable {
    /// Two errors are equal when they say the same; their causes are not compared.
    public static func == (left: Self, right: Self) -> Bool {
        left.code == right.code && left.message == right.message && left.origin == right.origin
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(code)
        hasher.combine(message)
        hasher.combine(origin)
    }
}
