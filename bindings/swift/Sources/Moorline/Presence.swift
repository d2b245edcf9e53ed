import Foundation
internal import MoorlineFFI

/// Whether a channel's members are watched while it is read.
public enum PresenceMode: Sendable, Hashable {
    /// They are not.
    case off
    /// They are, without being seen.
    case watch
    /// They are, and this user is one of them.
    case join
}

/// Who is in a channel. See ``Channel/presence``.
public struct Presence: Sendable {
    let channel: Channel

    /// How many members there are; `nil` until that is known, and where the channel is not read with presence.
    public var count: Int? {
        known?.count.map { Int($0) }
    }

    /// All members, in the order of their names; `nil` until they are known, and where they are more than 200: then
    /// ``page(after:)`` reads them.
    public var members: [Member]? {
        known?.list?.map(Member.init)
    }

    private var known: FfiMembers? {
        try? channel.core.get().presence().members()
    }

    /// Follows the members, beginning with a snapshot of all; the channel is read meanwhile. A reader that is slow gets what is
    /// different at last, not every step. Ends when the channel is left or the client closed, throws if the server refuses.
    public var changes: Feed<MembersChange> {
        Feed(channel: channel) {
            try channel.core.get().presence().changes()
        } map: { event in
            guard case .members(let count, let changes, let snapshot) = event else { return nil }
            return MembersChange(count: Int(count), changes: changes.map(MemberChange.init), isSnapshot: snapshot)
        }
    }

    /// Becomes a member of a channel that is read with presence, saying this about itself: JSON of at most 4,096 bytes. After a
    /// reconnect that happens again by itself. Cancelling stops the wait alone.
    ///
    /// - Throws: ``MoorlineError``: `channel.not_subscribed` where presence is off, or what the server answers.
    public func enter(_ state: some Encodable) async throws {
        let (text, core) = (try jsonText(state), try channel.core.get())
        try await cancellable { cancel in try await core.presence().enter(state: text, cancel: cancel) }
    }

    /// Changes what this member says about itself. Cancelling stops the wait alone.
    ///
    /// - Throws: ``MoorlineError``, as ``enter(_:)``; `request.order` for who is no member.
    public func update(_ state: some Encodable) async throws {
        let (text, core) = (try jsonText(state), try channel.core.get())
        try await cancellable { cancel in try await core.presence().update(state: text, cancel: cancel) }
    }

    /// Stops being a member; the channel is read on. Cancelling stops the wait alone.
    ///
    /// - Throws: ``MoorlineError``, as ``enter(_:)``.
    public func leave() async throws {
        let core = try channel.core.get()
        try await cancellable { cancel in try await core.presence().leave(cancel: cancel) }
    }

    /// Asks the server for members, whether the channel is read or not: the first 200, or those from a page's `next` on.
    ///
    /// - Throws: ``MoorlineError``: what the server answers, such as `channel.denied`.
    public func page(after next: String? = nil) async throws -> MembersPage {
        let core = try channel.core.get()
        let page = try await cancellable { cancel in try await core.presence().page(cursor: next, cancel: cancel) }
        return MembersPage(count: Int(page.count), members: page.members.map(Member.init), next: page.cursor)
    }
}

/// A member of a channel: a user, whatever the number of its devices.
public struct Member: Sendable, Hashable, Identifiable {
    /// Who.
    public let user: String
    /// What it says about itself.
    public let state: MemberState?
    /// Since when; by this device's clock if it came while this client watched.
    public let since: Date

    public var id: String { user }
}

/// What a member says about itself.
public struct MemberState: Sendable, Hashable {
    /// JSON of at most 4,096 bytes.
    public let json: Data

    /// Reads it.
    ///
    /// - Throws: `DecodingError`.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self, decoder: JSONDecoder = JSONDecoder()) throws -> Value {
        try decoder.decode(type, from: json)
    }
}

/// What is different about a channel's members.
public struct MembersChange: Sendable, Hashable {
    /// How many there are now.
    public let count: Int
    /// What happened, in order; nothing while there are more than 200, and after a burst that was not read.
    public let changes: [MemberChange]
    /// Whether this comes of a new look at all members: at the beginning, after a reconnect.
    public let isSnapshot: Bool
}

/// What happened to a member.
public struct MemberChange: Sendable, Hashable {
    /// What can happen to a member.
    public enum Event: Sendable, Hashable {
        /// It is new.
        case join
        /// It left, or its connection closed and it did not come back within 15 s.
        case leave
        /// Nothing was heard of it any more.
        case timeout
        /// It is there again, soon after a timeout.
        case back
        /// What it says about itself changed.
        case update
        /// Something that this version does not know.
        case other
    }

    /// What.
    public let event: Event
    /// To whom.
    public let user: String
    /// What it says about itself now.
    public let state: MemberState?
}

/// Some members of a channel, in the order of their names.
public struct MembersPage: Sendable, Hashable {
    /// How many there are in all.
    public let count: Int
    /// These.
    public let members: [Member]
    /// Where the next ones begin, if there are more.
    public let next: String?
}

/// Whether a user is online.
public struct Status: Sendable, Hashable {
    /// Whether it has a connection.
    public let isOnline: Bool
    /// If so, since when.
    public let since: Date?
}
