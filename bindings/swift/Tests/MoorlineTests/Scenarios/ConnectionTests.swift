import Foundation
@testable import Moorline
import XCTest

/// The scenarios of `bindings/js/test/scenarios/connection.ts`, by the same names.
final class ConnectionTests: XCTestCase {
    func test_connects_and_says_so() async throws {
        try await play { world in
            let client = try world.client("alice")
            XCTAssertEqual(client.state, .idle)
            let states = client.states.makeAsyncIterator()
            let first = await states.next()
            XCTAssertEqual(first?.name, "idle")
            try await client.connect()
            XCTAssertTrue(client.state.isOnline)
            XCTAssertEqual(client.user, world.user("alice"))
            await client.close()
            XCTAssertEqual(client.state, .closed(cause: nil))
            var last = first
            while let state = await states.next() { last = state }
            XCTAssertEqual(last, .closed(cause: nil))
        }
    }

    func test_takes_the_next_address_where_the_first_is_dead() async throws {
        try await play { world in
            try world.lab.refuse()
            let client = try world.client("alice") { $0.urls = [world.lab.proxied, world.lab.url] }
            try await client.connect()
            XCTAssertTrue(client.state.isOnline)
        }
    }

    func test_a_refused_token_ends_it() async throws {
        try await play { world in
            let client = try world.client("alice") { $0.token = .fixed("forged") }
            let refused = await code { try await client.connect() }
            XCTAssertEqual(refused, "auth.invalid")
            guard case .closed(let cause?) = client.state else { return XCTFail("\(client.state)") }
            XCTAssertEqual(cause.code, .authInvalid)
            XCTAssertEqual(cause.kind, .auth)
        }
    }

    func test_fetches_a_new_token_before_the_old_one_expires() async throws {
        try await play { world in
            let asked = Log<TokenReason>()
            let client = try world.client("alice") { options in
                options.token = .provider { reason in
                    let seconds = await asked.add(reason) == 1 ? 2 : 3600
                    return try world.lab.token(user: world.user("alice"), seconds: seconds)
                }
            }
            try await client.connect()
            let since = client.state
            await asked.reaches(2)
            let stored = try await client.channel(world.channel()).publish(text: "hi").stored()
            let reasons = await asked.items
            XCTAssertEqual(reasons, [.connect, .expiring])
            XCTAssertFalse(stored.isDuplicate)
            XCTAssertEqual(client.state, since, "it stayed online")
        }
    }

    func test_asks_again_for_a_token_that_could_not_be_had() async throws {
        struct Offline: Error {}
        try await play { world in
            let asked = Log<TokenReason>()
            let client = try world.client("alice") { options in
                options.token = .provider { reason in
                    if await asked.add(reason) == 1 { throw Offline() }
                    return try world.lab.token(user: world.user("alice"), seconds: 3600)
                }
            }
            try await client.connect()
            let count = await asked.items.count
            XCTAssertEqual(count, 2)
        }
    }

    func test_follows_what_the_host_says_of_the_network_and_the_app() async throws {
        try await play { world in
            let client = try world.client("alice", proxied: true)
            try await client.connect()
            client.lifecycle(.background)
            client.lifecycle(.foreground)
            client.lifecycle(.offline)
            try world.lab.cut()
            await client.reaches("recovering")
            // Offline it does not try at once, though the pause between attempts is 500 ms at most.
            guard case .recovering(let attempt) = client.state, let next = attempt.next else { return XCTFail("\(client.state)") }
            XCTAssertGreaterThan(next.timeIntervalSinceNow, 5)
            let receipt = try client.channel(world.channel()).publish(text: "later")
            try await receipt.queued()
            client.lifecycle(.online)
            try await receipt.stored()
            XCTAssertTrue(client.state.isOnline)
        }
    }

    func test_disconnects_and_comes_back() async throws {
        try await play { world in
            let client = try world.client("alice")
            let reading = try await Reading.begin(client.channel(world.channel()))
            client.disconnect()
            await client.reaches("idle")
            try await client.connect()
            try await reading.subscribed()
            XCTAssertTrue(client.state.isOnline)
        }
    }

    func test_gets_what_it_missed_when_it_comes_back() async throws {
        try await play { world in
            let bob = try world.client("bob")
            let name = world.channel()
            let reading = try await Reading.begin(bob.channel(name))
            bob.disconnect()
            await bob.reaches("idle")
            let writer = try world.client("alice").channel(name)
            try await writer.publish(text: "missed").stored()
            try await bob.connect()
            try await reading.subscribed()
            try await writer.publish(text: "live").stored()
            let first = try await reading.message().text
            guard first == "missed" else { return XCTFail("first came \(first ?? "something else")") }
            let second = try await reading.message().text
            XCTAssertEqual(second, "live")
        }
    }

    func test_the_log_tells_of_a_life_and_of_no_secret() async throws {
        try await play { world in
            let lines = Guarded<[String]>([])
            let client = try world.client("alice", proxied: true) { options in
                options.urls = options.urls.map { URL(string: "\($0.absoluteString)?secret=yes")! }
                options.log = { level, line in lines.change { $0.append("\(level) \(line)") } }
            }
            XCTAssertEqual(lines.read { $0 }, [])
            try await client.connect()
            try world.lab.cut()
            let room = client.channel(world.channel())
            try await room.publish(text: "a payload").stored()
            let late = await code { try await room.publish(text: "late", ttl: .zero).stored() }
            XCTAssertEqual(late, "publish.expired")
            await client.close()
            // The last line came before that.
            let all = lines.read { $0 }
            XCTAssertEqual(
                Array(all.prefix(3)),
                ["info connecting (requested)", "debug opens \(world.lab.proxied.absoluteString)", "info online (welcome)"]
            )
            XCTAssertEqual(Set(all.filter { $0.contains("recovering (transport-") }.map { $0.hasPrefix("warning ") }), [true])
            XCTAssertEqual(all.filter { $0.hasPrefix("warning \(room.name): a message is not stored") }.count, 1)
            XCTAssertEqual(all.last, "info closed (requested)")
            XCTAssertEqual(all.filter { $0.contains("secret") || $0.contains("dev:") || $0.contains("payload") }, [])
        }
    }

    /// The notifications of UIKit reach the core, as long as the client is open. Posted here as UIKit does; the client's own record
    /// has what it was told, at once.
    func test_what_the_system_posts_reaches_the_core() async throws {
        try await play { world in
            func isTold(_ client: Moorline, _ name: String) -> Bool {
                let before = client.blackbox()
                NotificationCenter.default.post(name: Notification.Name(name), object: nil)
                return client.blackbox() != before
            }
            let names = ["UIApplicationDidEnterBackgroundNotification", "UIApplicationWillEnterForegroundNotification"]
            let client = try world.client("alice")
            let deaf = try world.client("bob") { $0.followsSystem = false }
            for client in [client, deaf] { try await client.connect() }
            XCTAssertEqual(names.map { isTold(client, $0) }, [true, true])
            // What else happens to it while it comes online ends; if it were told, each time would change something.
            for name in names { while isTold(deaf, name) { await Task.yield() } }
            await client.close()
            XCTAssertEqual(names.map { isTold(client, $0) }, [false, false])
        }
    }
}

/// What happened, in order.
actor Log<Item: Sendable> {
    private(set) var items: [Item] = []
    private var waiting: [(Int, CheckedContinuation<Void, Never>)] = []

    /// Adds something and says how much there is now.
    @discardableResult
    func add(_ item: Item) -> Int {
        items.append(item)
        let ready = waiting.filter { $0.0 <= items.count }
        waiting.removeAll { $0.0 <= items.count }
        ready.forEach { $0.1.resume() }
        return items.count
    }

    /// Waits until there is so much.
    func reaches(_ count: Int) async {
        if items.count >= count { return }
        await withCheckedContinuation { waiting.append((count, $0)) }
    }
}
