import Foundation
internal import MoorlineFFI

// From the core's types to those of this package, and back. Matches are exhaustive, so that a case the core gains is noticed.

extension FfiError {
    var asSwift: any Error {
        switch self {
        case .Auth(let failure), .Limit(let failure), .Rejected(let failure), .Continuity(let failure),
            .Transport(let failure), .Closed(let failure), .Internal(let failure):
            MoorlineError(failure)
        case .Cancelled: CancellationError()
        }
    }
}

extension MoorlineError {
    init(_ failure: FfiFailure) {
        self.init(
            code: Code(rawValue: failure.code), number: Int(failure.number), message: failure.message,
            isRetryable: failure.retryable, retryAfter: failure.retryAfterMs.map { .milliseconds($0) },
            origin: Origin(failure.origin), kind: Kind(failure.kind)
        )
    }
}

extension MoorlineError.Origin {
    init(_ origin: FfiOrigin) {
        switch origin {
        case .client: self = .client
        case .server: self = .server
        case .transport: self = .transport
        }
    }
}

extension MoorlineError.Kind {
    init(_ kind: FfiKind) {
        switch kind {
        case .auth: self = .auth
        case .limit: self = .limit
        case .rejected: self = .rejected
        case .continuity: self = .continuity
        case .transport: self = .transport
        case .closed: self = .closed
        case .internal: self = .internal
        }
    }
}

extension ConnectionState {
    init(_ connection: FfiConnection) {
        let cause = connection.cause.map { MoorlineError($0) }
        let attempt = Attempt(
            count: Int(connection.attempt), next: connection.retryAtMs.map(Date.init(ms:)),
            reason: Reason(rawValue: connection.reason), cause: cause
        )
        switch connection.state {
        case .idle: self = .idle
        case .connecting: self = .connecting(attempt)
        case .online: self = .online(since: Date(ms: connection.sinceMs))
        case .recovering: self = .recovering(attempt)
        case .closed: self = .closed(cause: cause)
        }
    }
}

extension Outbox {
    init(_ outbox: FfiOutbox) {
        self.init(messages: Int(outbox.messages), bytes: Int(outbox.bytes))
    }
}

extension Payload {
    init(_ payload: FfiPayload) {
        switch payload {
        case .json(let text): self.init(kind: .json, data: Data(text.utf8))
        case .text(let text): self.init(kind: .text, data: Data(text.utf8))
        case .bytes(let bytes): self.init(kind: .bytes, data: bytes)
        }
    }

    var ffi: FfiPayload {
        switch kind {
        case .json: .json(text: String(decoding: data, as: UTF8.self))
        case .text: .text(text: String(decoding: data, as: UTF8.self))
        case .bytes: .bytes(bytes: data)
        }
    }
}

extension Message {
    init(_ message: FfiMessage) {
        self.init(
            channel: message.channel, id: message.id, epoch: message.epoch, offset: message.offset, user: message.user,
            time: Date(ms: message.timeMs), isReplayed: message.replayed, isRedelivered: message.redelivered,
            headers: message.headers, payload: Payload(message.payload)
        )
    }
}

extension HistoryPage {
    init(_ page: FfiHistoryPage) {
        self.init(
            messages: page.messages.map(Message.init), hasMore: page.more, epoch: page.epoch, first: page.first, head: page.head
        )
    }
}

extension Stored {
    init(_ stored: FfiStored) {
        self.init(epoch: stored.epoch, offset: stored.offset, isDuplicate: stored.duplicate)
    }
}

extension ReceiptState {
    init(_ state: FfiReceiptState) {
        switch state {
        case .queued: self = .queued
        case .sent: self = .sent
        case .stored(let stored): self = .stored(Stored(stored))
        case .failed(let failure): self = .failed(MoorlineError(failure))
        case .uncertain: self = .uncertain
        }
    }
}

extension Qos {
    var ffi: FfiQos {
        switch self {
        case .atMostOnce: .atMostOnce
        case .atLeastOnce: .atLeastOnce
        case .exactlyOnce: .exactlyOnce
        }
    }
}

extension Since {
    var ffi: FfiSince {
        switch self {
        case .resume: .resume
        case .live: .live
        case .cursor: .cursor
        case .first: .first
        case .last(let count): .last(count: UInt32(clamping: count))
        case .position(let position): .position(epoch: position.epoch, offset: position.offset)
        case .time(let time): .time(ms: time.ms)
        }
    }
}

extension HistoryRange {
    var ffi: FfiHistoryRange {
        switch self {
        case .newest: .newest
        case .after(let offset): .after(offset: offset)
        case .before(let offset): .before(offset: offset)
        case .since(let time): .since(ms: time.ms)
        case .until(let time): .until(ms: time.ms)
        }
    }
}

extension LifecycleSignal {
    var ffi: FfiSignal {
        switch self {
        case .foreground: .foreground
        case .background: .background
        case .online: .online
        case .offline: .offline
        case .network(let id): .network(id: id)
        case .wake: .wake
        }
    }
}

extension PresenceMode {
    var ffi: FfiPresenceMode {
        switch self {
        case .off: .off
        case .watch: .watch
        case .join: .join
        }
    }
}

extension MemberState {
    init(text: String) {
        self.init(json: Data(text.utf8))
    }
}

extension Member {
    init(_ member: FfiMember) {
        self.init(user: member.user, state: member.state.map(MemberState.init(text:)), since: Date(ms: member.sinceMs))
    }
}

extension MemberChange {
    init(_ change: FfiMemberChange) {
        let event: Event =
            switch change.event {
            case .join: .join
            case .leave: .leave
            case .timeout: .timeout
            case .back: .back
            case .update: .update
            case .other: .other
            }
        self.init(event: event, user: change.user, state: change.state.map(MemberState.init(text:)))
    }
}

extension Status {
    init(_ status: FfiUserStatus) {
        self.init(isOnline: status.online, since: status.sinceMs.map(Date.init(ms:)))
    }
}

extension LogLevel {
    init(_ level: FfiLogLevel) {
        switch level {
        case .debug: self = .debug
        case .info: self = .info
        case .warn: self = .warning
        case .error: self = .error
        }
    }
}

extension TokenReason {
    init(_ reason: FfiTokenReason) {
        switch reason {
        case .connect: self = .connect
        case .expiring: self = .expiring
        case .refused: self = .refused
        }
    }
}

extension Date {
    init(ms: UInt64) {
        self.init(timeIntervalSince1970: Double(ms) / 1000)
    }

    /// ms since 1970; 0 for what is before that, the most there is for what is later.
    var ms: UInt64 {
        // What is no moment at all is the first one.
        let ms = (timeIntervalSince1970 * 1000).rounded()
        return ms > 0 ? UInt64(exactly: ms) ?? .max : 0
    }
}

extension Duration {
    /// Whole ms, rounded up; 0 for what is negative, and for what is too long some 290 million years.
    var ms: UInt64 {
        let seconds = min(max(components.seconds, 0), Int64.max / 1000 - 1)
        return UInt64(clamping: seconds * 1000 + (components.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}

/// Writes a value as JSON.
func jsonText(_ value: some Encodable) throws -> String {
    String(decoding: try Payload(json: value).data, as: UTF8.self)
}
