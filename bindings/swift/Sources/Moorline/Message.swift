import Foundation

/// A message as it arrives.
public struct Message: Sendable, Hashable, Identifiable {
    /// The channel's name.
    public let channel: String
    /// Unique for its publisher in its channel.
    public let id: String
    /// The life of the channel's log.
    public let epoch: String
    /// The place in the log, from 1; `nil` for a message at QoS 0.
    public let offset: UInt64?
    /// Who published it; `nil` when anonymous.
    public let user: String?
    /// The server's clock when the message was stored; informative.
    public let time: Date
    /// Whether it comes from the log rather than live.
    public let isReplayed: Bool
    /// Whether an earlier process may have been handed it before.
    public let isRedelivered: Bool
    /// The sender's headers: at most 16, at most 1 KiB in all.
    public let headers: [String: String]
    /// What it carries.
    public let payload: Payload

    /// The text, if it was published as one.
    public var text: String? { payload.text }
    /// The bytes, if it was published as bytes.
    public var bytes: Data? { payload.bytes }

    /// Where it is in the log; `nil` for a message at QoS 0.
    public var position: Position? {
        offset.map { Position(epoch: epoch, offset: $0) }
    }

    /// Reads the value that it carries.
    ///
    /// - Throws: `DecodingError`, also for a text or bytes that are no JSON.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self, decoder: JSONDecoder = JSONDecoder()) throws -> Value {
        try payload.decode(type, decoder: decoder)
    }
}

/// A place in a channel's log. Offsets only mean something together with their epoch.
public struct Position: Sendable, Hashable, Codable {
    /// The life of the log.
    public let epoch: String
    /// The place in it, from 1; 0 is before everything.
    public let offset: UInt64

    /// Makes a position, such as one that the app kept.
    public init(epoch: String, offset: UInt64) {
        self.epoch = epoch
        self.offset = offset
    }
}

/// How sure a delivery is.
public enum Qos: Sendable, Hashable, CaseIterable {
    /// 0: at most once, and live only; for what may be lost.
    case atMostOnce
    /// 1: stored, at least once.
    case atLeastOnce
    /// 2: stored once, and handed out once.
    case exactlyOnce
}

/// Where reading begins.
public enum Since: Sendable, Hashable {
    /// After this client's last position if it has one, else after the durable cursor if durable, else from now.
    case resume
    /// From now.
    case live
    /// After the durable cursor.
    case cursor
    /// With everything kept.
    case first
    /// With the newest so many messages.
    case last(Int)
    /// After a position that the app keeps.
    case position(Position)
    /// With everything stored at or after this time.
    case time(Date)
}

/// A part of a channel's log.
public struct HistoryPage: Sendable, Hashable {
    /// Ascending.
    public let messages: [Message]
    /// Whether there is more in the direction of the query.
    public let hasMore: Bool
    /// The life of the log.
    public let epoch: String
    /// The oldest offset kept; `head + 1` when the channel is empty.
    public let first: UInt64
    /// The newest offset.
    public let head: UInt64
}

/// Which part of a channel's log is asked for.
public enum HistoryRange: Sendable, Hashable {
    /// The newest messages.
    case newest
    /// The oldest messages after this offset.
    case after(UInt64)
    /// The newest messages before this offset.
    case before(UInt64)
    /// The oldest messages stored at or after this time.
    case since(Date)
    /// The newest messages stored before this time.
    case until(Date)
}
