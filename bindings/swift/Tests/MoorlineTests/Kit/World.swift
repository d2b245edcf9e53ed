import Foundation
@testable import Moorline
import XCTest

/// What a test has to hand: the lab, names that nobody else uses, and clients that are closed at the end.
final class World: @unchecked Sendable {
    let lab: Lab
    /// Tells this run from others: part of every user's and channel's name.
    let id = String(UUID().uuidString.prefix(8)).lowercased()
    private let folder: URL
    private var clients: [Moorline] = []
    private var count = 0

    init() throws {
        lab = try Lab()
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("moorline-\(id)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    /// A client in development mode, or with what `configure` says; with a store of its own, or the one of this name.
    func client(_ name: String, proxied: Bool = false, store: String? = nil, configure: (inout Options) -> Void = { _ in }) throws
        -> Moorline
    {
        var options = Options(url: proxied ? lab.proxied : lab.url)
        options.token = .fixed("dev:\(user(name))")
        options.store = .file(path(store ?? "\(name)-\(clients.count)"))
        options.minimumBackoff = .milliseconds(100)
        options.maximumBackoff = .milliseconds(500)
        configure(&options)
        let client = try Moorline(options)
        clients.append(client)
        return client
    }

    func user(_ name: String) -> String { "\(name)-\(id)" }

    /// A channel that nobody else uses.
    func channel() -> String {
        count += 1
        return "room:\(id)-\(count)"
    }

    /// The file of a store.
    func path(_ store: String) -> String {
        folder.appendingPathComponent("\(store).moor").path
    }

    /// Closes all clients: what comes close to the end of a process.
    func closeClients() async {
        for client in clients { await client.close() }
        clients = []
    }

    func close() async {
        await closeClients()
        try? FileManager.default.removeItem(at: folder)
    }
}

extension XCTestCase {
    /// Plays a story in a world of its own; one that comes to no end fails.
    func play(within limit: Duration = .seconds(60), _ story: @escaping @Sendable (World) async throws -> Void) async throws {
        let world = try World()
        do {
            try await within(limit) { try await story(world) }
        } catch {
            await world.close()
            throw error
        }
        await world.close()
    }
}

/// The code of what is thrown; `none` if nothing is.
func code(_ act: () async throws -> Void) async -> String {
    do {
        try await act()
        return "none"
    } catch let error as MoorlineError {
        return error.code.rawValue
    } catch {
        return "\(error)"
    }
}

struct Late: Error {}

/// Gives something so much time. What does not even end when it is cancelled ends the run: a test must not hang.
func within<Result: Sendable>(_ limit: Duration, _ act: @escaping @Sendable () async throws -> Result) async throws -> Result {
    let watchdog = Task.detached {
        try await Task.sleep(for: limit + .seconds(10))
        fflush(nil)
        fatalError("this came to no end, though it was cancelled")
    }
    defer { watchdog.cancel() }
    return try await withThrowingTaskGroup(of: Result.self) { group in
        group.addTask { try await act() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw Late()
        }
        defer { group.cancelAll() }
        return try await group.next()!
    }
}

/// Reads a channel, event by event.
struct Reading {
    private let events: Feed<ChannelEvent>.Iterator

    /// Begins to read.
    init(_ channel: Channel) {
        events = channel.events.makeAsyncIterator()
    }

    /// Begins to read, and waits until the server has taken that.
    static func begin(_ channel: Channel) async throws -> Self {
        let reading = Self(channel)
        try await reading.subscribed()
        return reading
    }

    func subscribed() async throws {
        while let event = try await events.next() {
            if case .subscribed = event { return }
        }
        throw Late()
    }

    func next() async throws -> ChannelEvent? {
        try await events.next()
    }

    func message() async throws -> Message {
        while let event = try await events.next() {
            if case .message(let message) = event { return message }
        }
        throw Late()
    }

    func messages(_ count: Int) async throws -> [Message] {
        var messages: [Message] = []
        while messages.count < count { messages.append(try await message()) }
        return messages
    }
}

extension Channel {
    /// Takes so many messages of an iteration.
    func take(_ count: Int) async throws -> [Message] {
        var taken: [Message] = []
        for try await message in messages {
            taken.append(message)
            if taken.count == count { break }
        }
        return taken
    }
}

extension Moorline {
    /// Waits until the connection is in a state.
    func reaches(_ name: String) async {
        for await state in states where state.name == name { return }
    }
}

extension Message {
    var number: Int? { try? decode(Int.self) }
}
