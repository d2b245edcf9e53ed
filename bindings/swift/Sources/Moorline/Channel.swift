import Foundation
internal import MoorlineFFI

/// A channel, and how this app reads it. Made by ``Moorline/channel(_:durable:qos:presence:state:since:resetsToLive:acknowledges:)``;
/// a name that is not allowed is told by what is done with it first.
public struct Channel: Sendable {
    /// The name.
    public let name: String
    let core: Result<FfiChannel, any Error>
    let confirms: Bool

    /// The channel's messages, for `for try await`. See ``Feed`` for what an iteration does at each end.
    ///
    /// With ``Acknowledgement/automatic`` a message counts as done when the next one is asked for.
    public var messages: Feed<Message> {
        Feed(channel: self, confirms: confirms) {
            try core.get().reader()
        } map: { event in
            guard case .message(let message) = event else { return nil }
            return Message(message)
        }
    }

    /// Everything that happens on the channel, messages included, for `for try await`.
    public var events: Feed<ChannelEvent> {
        Feed(channel: self, confirms: confirms) {
            try core.get().reader()
        } map: {
            ChannelEvent($0)
        }
    }

    /// Who is in the channel.
    public var presence: Presence {
        Presence(channel: self)
    }

    /// Queues a message and returns at once; it goes out by itself, over reconnects and, with a ``Store`` in a file, restarts.
    ///
    /// - Parameters:
    ///   - payload: What it carries.
    ///   - qos: How sure; by default as the channel, else ``Qos/atLeastOnce``.
    ///   - id: 1 to 128 bytes; random by default. The same id, published again within a day, is stored once.
    ///   - ttl: After how long the message may be forgotten, unsent or stored: whole seconds, rounded up. `nil`: never.
    ///   - headers: At most 16, at most 1 KiB in all.
    /// - Throws: ``MoorlineError``: `limit.outbox` when too much waits already, `limit.message`, `channel.invalid`,
    ///   `request.malformed`, `client.closed`. Nothing is queued then.
    @discardableResult
    public func publish(
        _ payload: Payload, qos: Qos? = nil, id: String? = nil, ttl: Duration? = nil, headers: [String: String] = [:]
    ) throws -> Receipt {
        let seconds = ttl.map { UInt32(clamping: ($0.ms + 999) / 1000) }
        let options = FfiPublishOptions(qos: qos?.ffi, id: id, ttl: seconds, headers: headers)
        return try converting { Receipt(core: try core.get().publish(payload: payload.ffi, options: options)) }
    }

    /// Queues a value as JSON. As ``publish(_:qos:id:ttl:headers:)``; also throws `request.malformed` for what cannot be JSON.
    @discardableResult
    public func publish(
        json value: some Encodable, qos: Qos? = nil, id: String? = nil, ttl: Duration? = nil, headers: [String: String] = [:]
    ) throws -> Receipt {
        try publish(Payload(json: value), qos: qos, id: id, ttl: ttl, headers: headers)
    }

    /// Queues a text. As ``publish(_:qos:id:ttl:headers:)``.
    @discardableResult
    public func publish(
        text: String, qos: Qos? = nil, id: String? = nil, ttl: Duration? = nil, headers: [String: String] = [:]
    ) throws -> Receipt {
        try publish(Payload(text: text), qos: qos, id: id, ttl: ttl, headers: headers)
    }

    /// Queues bytes. As ``publish(_:qos:id:ttl:headers:)``.
    @discardableResult
    public func publish(
        bytes: Data, qos: Qos? = nil, id: String? = nil, ttl: Duration? = nil, headers: [String: String] = [:]
    ) throws -> Receipt {
        try publish(Payload(bytes: bytes), qos: qos, id: id, ttl: ttl, headers: headers)
    }

    /// Asks for a part of the log: at most `limit` (1 to 256) messages, ascending. Cancelling stops the wait.
    ///
    /// - Throws: ``MoorlineError``: what the server answers, such as `channel.denied`.
    public func history(_ range: HistoryRange = .newest, limit: Int = 50) async throws -> HistoryPage {
        let core = try core.get()
        return HistoryPage(
            try await cancellable { cancel in
                try await core.history(range: range.ffi, limit: UInt32(clamping: limit), cancel: cancel)
            }
        )
    }

    /// Acknowledges everything up to a message: with a durable cursor it does not come again. For
    /// ``Acknowledgement/manual``; does nothing for a message at QoS 0.
    ///
    /// - Throws: ``MoorlineError``: `client.closed`, `channel.invalid`, `request.malformed` for a message of another channel.
    public func acknowledge(_ message: Message) throws {
        // An inbox is `@me`, and the name of its user.
        guard message.channel == name || name == "@me" else {
            throw MoorlineError.malformed("a message of \(message.channel) is not acknowledged on \(name)")
        }
        guard let offset = message.offset else { return }
        try converting { try core.get().ack(epoch: message.epoch, offset: offset) }
    }

    /// Stops receiving: iterations of this handle end, and if it was the last one, the server is told. A durable cursor stays,
    /// unless `forget`. Receipts already returned go on. Calling it again does nothing. Never throws.
    public func leave(forget: Bool = false) {
        try? core.get().leave(forget: forget)
    }
}

/// When messages of a durable channel count as done.
public enum Acknowledgement: Sendable, Hashable {
    /// When the next one is asked for.
    case automatic
    /// When the app says so: ``Channel/acknowledge(_:)``.
    case manual
}

/// What happens on a channel that is read.
public enum ChannelEvent: Sendable, Hashable {
    /// A message.
    case message(Message)
    /// The channel is (again) being read; everything after `from` follows. `isReplay`: messages of the log come first.
    case subscribed(epoch: String, from: UInt64, head: UInt64, isReplay: Bool)
    /// Continuity is broken: what lies before `from` is lost to this reader, which goes on after it.
    case reset(reason: ResetReason, epoch: String, first: UInt64, head: UInt64, from: UInt64)
    /// So many messages were dropped: at QoS 0, or because nobody took them while another reader of the channel went on.
    case dropped(count: Int)
    /// The durable cursor stands here.
    case acknowledged(offset: UInt64)

    /// What continuity is broken by. Later versions may know others.
    public struct ResetReason: RawRepresentable, Sendable, Hashable {
        /// A name, such as `trimmed`.
        public let rawValue: String

        /// Makes a reason of its name.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        /// The log is not kept that far back.
        public static let trimmed = Self(rawValue: "trimmed")
        /// It is another log.
        public static let epoch = Self(rawValue: "epoch")
    }

    init?(_ event: FfiEvent) {
        switch event {
        case .message(let message): self = .message(Message(message))
        case .subscribed(let epoch, let from, let head, let replay):
            self = .subscribed(epoch: epoch, from: from, head: head, isReplay: replay)
        case .reset(let reason, let epoch, let first, let head, let from):
            self = .reset(reason: ResetReason(rawValue: reason), epoch: epoch, first: first, head: head, from: from)
        case .dropped(let count): self = .dropped(count: Int(count))
        case .acked(let offset): self = .acknowledged(offset: offset)
        case .members, .connection, .outbox, .statuses, .receipt, .log: return nil
        }
    }
}
