import Foundation
import Moorline
import Observation

/// One room of a chat: what the views show, and what they can do. Works offline: what is sent then waits in the client's store.
@MainActor
@Observable
public final class ChatModel {
    /// The messages as they are shown, oldest first.
    public private(set) var lines: [Line] = []
    /// The connection, for the bar at the top.
    public private(set) var connection = ConnectionState.idle
    /// Who is here, by name; `nil` until that is known, and in large rooms.
    public private(set) var members: [String]?
    /// Why the room cannot be read, if it cannot.
    public private(set) var problem: String?
    /// Whether there is more to load above.
    public private(set) var hasOlder = false
    /// What is being typed.
    public var draft = ""

    /// Who sits at this device.
    public let user: String
    private let client: Moorline
    private let room: Channel

    /// Opens a room. Nothing is connected before ``run()``.
    public init(url: URL, user: String, room: String = "room:lobby", store: Store = .memory) throws {
        self.user = user
        client = try Moorline(url: url, token: "dev:\(user)", store: store)
        self.room = client.channel(room, qos: .exactlyOnce, presence: .join, state: Nick(nick: user), since: .last(50))
    }

    /// Keeps the room up to date until its task is cancelled: in a view, `.task { await model.run() }`.
    public func run() async {
        async let messages: Void = read()
        async let people: Void = watch()
        for await state in client.states {
            connection = state
        }
        _ = await (messages, people)
    }

    /// Sends what is in ``draft`` and shows it at once; returns when it is stored, which offline may take long.
    public func send() async {
        let text = draft.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !text.isEmpty else { return }
        do {
            let receipt = try room.publish(text: text)
            draft = ""
            show(Line(id: receipt.id, user: user, text: text, progress: .waiting))
            try await receipt.stored()
            mark(receipt.id, .stored)
        } catch let error as MoorlineError {
            problem = error.message
        } catch {
            // The view is gone; the message still goes out.
        }
    }

    /// Loads what was said before the first line.
    public func loadOlder() async {
        guard let first = lines.compactMap(\.offset).min() else { return }
        do {
            let page = try await room.history(.before(first))
            lines.insert(contentsOf: page.messages.compactMap(Line.init), at: 0)
            hasOlder = page.hasMore
        } catch {
            problem = "\(error)"
        }
    }

    /// Leaves for good.
    public func close() async {
        await client.close()
    }

    private func read() async {
        do {
            for try await message in room.messages {
                guard let line = Line(message) else { continue }
                if lines.isEmpty { hasOlder = (line.offset ?? 1) > 1 }
                show(line)
            }
        } catch let error as MoorlineError {
            problem = error.message
        } catch {
            // Cancelled: the view is gone.
        }
    }

    private func watch() async {
        do {
            for try await _ in room.presence.changes {
                members = room.presence.members?.map(\.user)
            }
        } catch {
            // What refuses the members refuses the messages, too, and is told there.
            members = nil
        }
    }

    /// Shows a line, in the place of the one that has its id.
    private func show(_ line: Line) {
        if let at = lines.lastIndex(where: { $0.id == line.id }) {
            lines[at] = line
        } else {
            lines.append(line)
        }
    }

    private func mark(_ id: String, _ progress: Line.Progress) {
        guard let at = lines.lastIndex(where: { $0.id == id }) else { return }
        lines[at].progress = progress
    }

    private struct Nick: Codable, Sendable {
        var nick: String
    }
}

/// A message as it is shown.
public struct Line: Identifiable, Equatable, Sendable {
    /// How far it has come.
    public enum Progress: Sendable {
        /// It waits for the server.
        case waiting
        /// The server has it.
        case stored
    }

    public let id: String
    /// Who said it.
    public let user: String
    /// What was said.
    public let text: String
    /// How far it has come.
    public var progress: Progress
    /// Its place in the log, once it has one.
    public var offset: UInt64?

    init(id: String, user: String, text: String, progress: Progress) {
        (self.id, self.user, self.text, self.progress) = (id, user, text, progress)
    }

    /// `nil` for what is no text.
    init?(_ message: Message) {
        guard let text = message.text else { return nil }
        self.init(id: message.id, user: message.user ?? "somebody", text: text, progress: .stored)
        offset = message.offset
    }
}
