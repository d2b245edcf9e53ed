import Foundation

/// The connection as the app sees it.
public enum ConnectionState: Sendable, Hashable {
    /// Not asked to connect.
    case idle
    /// Connecting for the first time.
    case connecting(Attempt)
    /// The server has welcomed this client.
    case online(since: Date)
    /// The connection was lost; trying again.
    case recovering(Attempt)
    /// Closed for good: by the app (no cause), or by a final refusal.
    case closed(cause: MoorlineError?)

    /// What is known of a connection that does not stand.
    public struct Attempt: Sendable, Hashable {
        /// How many attempts there were since it was last online, from 0.
        public let count: Int
        /// When the next one comes; `nil` while one is under way.
        public let next: Date?
        /// Why there is no connection.
        public let reason: Reason
        /// The error behind it, if there is one.
        public let cause: MoorlineError?
    }

    /// Why there is no connection. Later versions may know others.
    public struct Reason: RawRepresentable, Sendable, Hashable {
        /// A name, such as `silent`.
        public let rawValue: String

        /// Makes a reason of its name.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        /// The app asked for it.
        public static let requested = Self(rawValue: "requested")
        /// The socket closed.
        public static let transportClosed = Self(rawValue: "transport-closed")
        /// The socket could not be opened, or broke.
        public static let transportFailed = Self(rawValue: "transport-failed")
        /// Nothing was heard for too long.
        public static let silent = Self(rawValue: "silent")
        /// Opening took too long.
        public static let connectTimeout = Self(rawValue: "connect-timeout")
        /// The server lives, and did not answer a request for too long.
        public static let unanswered = Self(rawValue: "unanswered")
        /// The server sends its clients away and said when to come back.
        public static let goaway = Self(rawValue: "goaway")
        /// Publishing needs a new attachment to the server.
        public static let reattach = Self(rawValue: "reattach")
        /// The system said that there is no network.
        public static let offline = Self(rawValue: "offline")
        /// No token could be had.
        public static let token = Self(rawValue: "token")
        /// The server refused for good.
        public static let refused = Self(rawValue: "refused")
        /// The server broke the protocol.
        public static let protocolViolation = Self(rawValue: "protocol-violation")
        /// The store failed.
        public static let store = Self(rawValue: "store")
    }

    /// Whether the server has welcomed this client.
    public var isOnline: Bool {
        if case .online = self { true } else { false }
    }

    /// Whether it is closed for good.
    public var isClosed: Bool {
        if case .closed = self { true } else { false }
    }

    /// The name that all of Moorline's languages use: `idle`, `connecting`, `online`, `recovering` or `closed`.
    public var name: String {
        switch self {
        case .idle: "idle"
        case .connecting: "connecting"
        case .online: "online"
        case .recovering: "recovering"
        case .closed: "closed"
        }
    }
}

/// What happens to the app or the device around the client. See ``Moorline/lifecycle(_:)``.
public enum LifecycleSignal: Sendable, Hashable {
    /// The app is in front again.
    case foreground
    /// The app goes to the background.
    case background
    /// The network is there again, or another one.
    case online
    /// There is no network.
    case offline
    /// Another network; the number is any name of the app's for it, the same after a restart.
    case network(UInt64)
    /// The device slept, or timers stood still.
    case wake
}

/// What waits to be sent.
public struct Outbox: Sendable, Hashable {
    /// Messages.
    public let messages: Int
    /// Bytes of their payloads.
    public let bytes: Int
}
