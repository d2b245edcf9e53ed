import Foundation

/// How a client connects and what it keeps. Everything has a default but the URLs.
public struct Options: Sendable {
    /// `ws://` or `wss://` addresses, tried in turn; at least one.
    public var urls: [URL]
    /// Who the user is (default: nobody).
    public var token = Token.none
    /// Where outbox, device and positions are kept (default: in memory).
    public var store = Store.memory
    /// Certificates that are trusted beside Mozilla's, PEM or DER. What was added to the device is not looked at.
    public var rootCertificates: [Data] = []
    /// Whether the server may compress what it sends (default true).
    public var compression = true
    /// Whether the client follows the system by itself: the network, and the app's background (default true). With `false`, say it
    /// with ``Moorline/lifecycle(_:)``.
    public var followsSystem = true
    /// What is told the lines of the client's log (default: nobody), one after the other, from its first use until it is closed; the
    /// last one before ``Moorline/close()`` returns. It runs in a task of its own. Names of channels and users are in the lines;
    /// payloads, headers and tokens never are. They are for people: do not parse them. While 256 wait, later ones are counted instead.
    public var log: (@Sendable (_ level: LogLevel, _ line: String) -> Void)?
    /// Messages that may wait to be sent (default 1,000).
    public var outboxMessages: Int?
    /// Bytes of their payloads (default 8 MiB).
    public var outboxBytes: Int?
    /// Messages of a channel that may wait to be taken before the server is asked to pause (default 1,024).
    public var queueMessages: Int?
    /// Bytes of their payloads (default 4 MiB).
    public var queueBytes: Int?
    /// The shortest pause between attempts to connect (default 500 ms).
    public var minimumBackoff: Duration?
    /// The longest (default 20 s).
    public var maximumBackoff: Duration?
    /// For opening a socket and being welcomed (default 10 s).
    public var connectTimeout: Duration?

    /// Makes the defaults for a server.
    public init(urls: [URL]) {
        self.urls = urls
    }

    /// Makes the defaults for a server.
    public init(url: URL) {
        self.init(urls: [url])
    }
}

/// How much a line of the log matters.
public enum LogLevel: Int, Sendable, Hashable, Comparable, CaseIterable {
    /// Of interest to who looks for a fault: addresses, tokens that are asked for, channels that are read.
    case debug
    /// What happens as it should.
    case info
    /// What went wrong, and is dealt with: a lost connection, a message that is not stored.
    case warning
    /// What ends the client.
    case error

    /// The one that matters less is the smaller one.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Where tokens come from.
public enum Token: Sendable {
    /// There is none: the client is anonymous.
    case none
    /// Always this one.
    case fixed(String)
    /// A function that fetches one, called whenever one is needed: at the first connection, before one expires, when one was refused.
    /// It runs in a task of its own, which is cancelled when the client is closed. What it throws makes the client ask again later.
    case provider(@Sendable (TokenReason) async throws -> String)
}

/// Why a token is needed.
public enum TokenReason: Sendable, Hashable {
    /// For the first connection.
    case connect
    /// The current one expires soon.
    case expiring
    /// The server refused the current one as expired.
    case refused
}

/// Where a client keeps its outbox, its device and its positions.
public struct Store: Sendable, Hashable {
    let path: String?

    /// In memory: gone with the process.
    public static let memory = Self(path: nil)

    /// In a file, which outlives the process; one client at a time. What the app publishes offline goes out after a restart.
    public static func file(_ path: String) -> Self {
        Self(path: path)
    }

    /// In a file, which outlives the process; one client at a time.
    public static func file(_ url: URL) -> Self {
        Self(path: url.path)
    }
}
