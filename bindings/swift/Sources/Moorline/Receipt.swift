internal import MoorlineFFI

/// What becomes of a published message.
///
/// A receipt only tells: the message goes out by itself, over reconnects, whether anybody looks or not.
public struct Receipt: Sendable, Identifiable {
    let core: FfiReceipt

    /// The message's id.
    public var id: String { core.id() }
    /// Its channel's name.
    public var channel: String { core.channel() }
    /// How far it has come.
    public var state: ReceiptState { ReceiptState(core.state()) }

    /// How far it comes, beginning with what is so now, for `for await`. A slow iteration gets the newest. It ends once it is known what
    /// became of the message, and when the client is closed: then ``state`` says how far it had come, and ``stored()`` throws why.
    public var states: Latest<ReceiptState> {
        Latest { [core] in
            core.states()
        } map: { event in
            guard case .receipt(let state) = event else { return nil }
            return ReceiptState(state)
        }
    }

    /// Waits until the message is in the client's store: from then on it outlives this process, as far as the store does. Needs no
    /// connection. Cancelling stops the wait alone.
    ///
    /// - Throws: ``MoorlineError``: why it is not kept, such as `storage.full`; `request.unsupported` at QoS 0, which keeps nothing.
    public func queued() async throws {
        try await cancellable { [core] cancel in try await core.queued(cancel: cancel) }
    }

    /// Waits until the message is in the server's log. Cancelling stops the wait alone: the message still goes out.
    ///
    /// - Throws: ``MoorlineError``: why it will not be; `publish.uncertain` if nobody can know; `request.unsupported` at QoS 0, which
    ///   stores nothing; `client.closed`, or the server's final refusal, if the client ended before: then its store still has the message.
    @discardableResult
    public func stored() async throws -> Stored {
        Stored(try await cancellable { [core] cancel in try await core.stored(cancel: cancel) })
    }
}

/// Where a message is in the log.
public struct Stored: Sendable, Hashable {
    /// The life of the log.
    public let epoch: String
    /// Its place, from 1; `nil` for an old duplicate of which only the fact is known.
    public let offset: UInt64?
    /// Whether it was there already.
    public let isDuplicate: Bool
}

/// How far a message has come.
public enum ReceiptState: Sendable, Hashable {
    /// It waits in the outbox.
    case queued
    /// It was sent; at QoS 0 that is all.
    case sent
    /// It is in the log.
    case stored(Stored)
    /// It will not be stored.
    case failed(MoorlineError)
    /// It was sent, and nobody can know any more whether it was stored; the app decides.
    case uncertain
}
