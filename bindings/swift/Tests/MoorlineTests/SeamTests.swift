import Foundation
@testable import Moorline
import MoorlineFFI
import XCTest

/// What can go wrong between Swift's tasks and the core's: cancelling, slow readers, what is never released.
final class SeamTests: XCTestCase {
    func test_cancelling_an_idle_iteration_ends_it_at_once() async throws {
        try await play { world in
            let client = try world.client("alice")
            for _ in 0..<5 {
                let reading = try await Reading.begin(client.channel(world.channel()))
                let waiting = Task { try await reading.message() }
                // The server answers several questions: by then the other task waits for a message that never comes.
                for _ in 0..<5 { _ = try await client.status(of: ["nobody"]) }
                waiting.cancel()
                let ended = try await within(.seconds(5)) { await waiting.result }
                XCTAssertThrowsError(try ended.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
            }
        }
    }

    func test_cancelling_before_the_wait_began_ends_it_too() async throws {
        try await play { world in
            let room = try world.client("alice", proxied: true).channel(world.channel())
            try world.lab.refuse()
            let gate = Log<Void>()
            let (reading, waiting) = (
                Task {
                    await gate.reaches(1)
                    _ = try await room.take(1)
                },
                Task {
                    await gate.reaches(1)
                    try await room.publish(text: "x").stored()
                }
            )
            reading.cancel()
            waiting.cancel()
            await gate.add(())
            for result in [await reading.result, await waiting.result] {
                XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
            }
        }
    }

    func test_cancelling_a_wait_does_not_take_the_message_back() async throws {
        try await play { world in
            try world.lab.refuse()
            let name = world.channel()
            let alice = try world.client("alice", proxied: true)
            let receipt = try alice.channel(name).publish(text: "kept")
            let waiting = Task { try await receipt.stored() }
            let connecting = Task { try await alice.connect() }
            // By the time another client has been answered, both wait.
            for _ in 0..<5 { _ = try await world.client("bob").status(of: ["nobody"]) }
            waiting.cancel()
            connecting.cancel()
            let (stored, connected) = (await waiting.result, await connecting.result)
            XCTAssertThrowsError(try stored.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
            XCTAssertThrowsError(try connected.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
            XCTAssertEqual(alice.outbox.messages, 1)
            try world.lab.heal()
            try await receipt.stored()
            let page = try await alice.channel(name).history()
            XCTAssertEqual(page.messages.map(\.text), ["kept"])
        }
    }

    func test_what_was_not_handed_out_comes_to_the_next_reader() async throws {
        try await play { world in
            let name = world.channel()
            let writer = try world.client("alice").channel(name)
            for i in 0..<100 { try await writer.publish(json: i).stored() }
            let room = try world.client("bob").channel(name, since: .first)
            // The first reader has a batch of many, and hands out three.
            let first = try await room.take(3)
            let rest = try await room.take(97)
            XCTAssertEqual((first + rest).map { $0.number }, (0..<100).map { Optional($0) })
        }
    }

    func test_who_goes_on_where_another_left_off_is_told_that_the_channel_is_read() async throws {
        try await play { world in
            let name = world.channel()
            let writer = try world.client("alice").channel(name)
            for i in 1...3 { try await writer.publish(json: i).stored() }
            let room = try world.client("bob").channel(name, since: .first)
            /// The events of an iteration: where it begins, the newest offset then, and the numbers that follow.
            func take(_ count: Int) async throws -> [UInt64] {
                let reading = Reading(room)
                guard case .subscribed(_, let from, let head, _) = try await reading.next() else { throw Late() }
                var taken = [from, head]
                for message in try await reading.messages(count) { taken.append(UInt64(message.number ?? 0)) }
                return taken
            }
            // The third and fourth begin before what was left, and again while that is so; nothing is left to the last.
            var begun: [[UInt64]] = []
            for count in [2, 0, 0, 1, 0] { begun.append(try await take(count)) }
            XCTAssertEqual(begun, [[0, 3, 1, 2], [2, 3], [2, 3], [2, 3, 3], [3, 3]])
        }
    }

    func test_two_readers_do_not_hold_each_other_up() async throws {
        try await play { world in
            let name = world.channel()
            let room = try world.client("bob").channel(name)
            let (quick, slow) = (try await Reading.begin(room), try await Reading.begin(room))
            let writer = try world.client("alice").channel(name)
            for i in 0..<200 { try writer.publish(json: i) }
            let all = try await quick.messages(200)
            XCTAssertEqual(all.map(\.number), Array(0..<200))
            let same = try await slow.messages(200)
            XCTAssertEqual(same.map(\.number), Array(0..<200))
        }
    }

    func test_leaving_ends_an_iteration_and_closing_does() async throws {
        try await play { world in
            let client = try world.client("alice")
            let (left, closed) = (client.channel(world.channel()), client.channel(world.channel()))
            let (leaving, closing) = (try await Reading.begin(left), try await Reading.begin(closed))
            left.leave()
            left.leave()
            let first = try await leaving.next()
            XCTAssertNil(first)
            await client.close()
            let second = try await closing.next()
            XCTAssertNil(second)
        }
    }

    /// A reader a thousand times slower than the writer: it takes one message while a thousand are published.
    func test_a_reader_a_thousand_times_slower_loses_nothing() async throws {
        try await play(within: .seconds(240)) { world in
            let name = world.channel()
            let reading = try await Reading.begin(world.client("bob") { $0.queueMessages = 64 }.channel(name, qos: .exactlyOnce))
            let alice = try world.client("alice") { $0.outboxMessages = 1000 }
            let writer = alice.channel(name, qos: .exactlyOnce)
            var taken: [Int?] = []
            for round in 0..<10 {
                let receipts = try (0..<1000).map { try writer.publish(json: round * 1000 + $0) }
                taken.append(try await reading.message().number)
                for receipt in receipts { try await receipt.stored() }
            }
            taken += try await reading.messages(10_000 - 10).map { $0.number }
            XCTAssertEqual(taken, Array(0..<10_000))
        }
    }

    func test_ten_thousand_messages_leave_memory_flat() async throws {
        try await play(within: .seconds(240)) { world in
            let name = world.channel()
            let reading = try await Reading.begin(world.client("bob").channel(name))
            let writer = try world.client("alice").channel(name)
            func round() async throws {
                for _ in 0..<10 {
                    let receipts = try (0..<500).map { _ in try writer.publish(text: String(repeating: "x", count: 500)) }
                    for _ in 0..<500 { _ = try await reading.message() }
                    for receipt in receipts { try await receipt.stored() }
                }
            }
            // The first round fills what is kept for later: pools, caches, the heap's own reserve.
            try await round()
            let before = residentBytes()
            try await round()
            try await round()
            let growth = residentBytes() - before
            print("memory: \(before / 1024) KiB, then \(growth / 1024) KiB more after 10,000 messages")
            // A tenth of what went through, were it kept.
            XCTAssertLessThan(growth, 10_000 * 500 / 2)
        }
    }

    func test_a_hundred_clients_leave_nothing_behind() async throws {
        try await play(within: .seconds(240)) { world in
            try await leavesNothing {
                for number in 0..<100 {
                    let client = try Moorline(url: world.lab.url, token: { "dev:\(world.user("user"))-\(number)" }) { $0.log = { _, _ in } }
                    let room = client.channel(world.channel(), presence: .join)
                    let reading = try await Reading.begin(room)
                    try await room.publish(text: "hi").stored()
                    _ = try await reading.message()
                    _ = await client.states.makeAsyncIterator().next()
                    await client.close()
                }
            }
        }
    }

    func test_clients_that_are_only_let_go_leave_nothing_behind() async throws {
        try await play { world in
            try await leavesNothing {
                for _ in 0..<10 {
                    let client = try Moorline(url: world.lab.url, token: "dev:\(world.user("user"))") { $0.log = { _, _ in } }
                    try await client.connect()
                    try client.channel(world.channel()).publish(text: "hi")
                }
            }
        }
    }

    func test_nothing_is_called_on_a_closed_client() async throws {
        try await play { world in
            let calls = Log<TokenReason>()
            let client = try world.client("alice") { options in
                options.token = .provider { reason in
                    await calls.add(reason)
                    return try world.lab.token(user: world.user("alice"), seconds: 2)
                }
            }
            let room = client.channel(world.channel())
            let reading = try await Reading.begin(room)
            await calls.reaches(2)
            await client.close()
            let before = await calls.items.count
            let states = client.states.makeAsyncIterator()
            let last = await states.next()
            XCTAssertNotEqual(last?.isOnline, true)
            // What the system says is heard by nobody, and a token that would be due is not asked for.
            NotificationCenter.default.post(name: Notification.Name("UIApplicationWillEnterForegroundNotification"), object: nil)
            let other = try world.client("bob")
            try await other.connect()
            _ = try await within(.seconds(20)) {
                // Another client's token runs out meanwhile: so much time has passed.
                let passed = Log<TokenReason>()
                let clock = try world.client("clock") { options in
                    options.token = .provider { reason in
                        await passed.add(reason)
                        return try world.lab.token(user: world.user("clock"), seconds: 2)
                    }
                }
                try await clock.connect()
                await passed.reaches(3)
            }
            let after = await calls.items.count
            XCTAssertEqual(after, before)
            let ended = try await reading.next()
            XCTAssertNil(ended)
        }
    }

    func test_closing_ends_a_token_that_is_being_fetched() async throws {
        try await play { world in
            let (asked, ended) = (Log<TokenReason>(), Log<Bool>())
            let client = try world.client("alice") { options in
                options.token = .provider { reason in
                    await asked.add(reason)
                    do {
                        try await Task.sleep(for: .seconds(3600))
                    } catch {
                        await ended.add(error is CancellationError)
                    }
                    return "too late"
                }
            }
            let connecting = Task { try await client.connect() }
            await asked.reaches(1)
            await client.close()
            await ended.reaches(1)
            let items = await ended.items
            XCTAssertEqual(items, [true])
            let refused = await code { try await connecting.value }
            XCTAssertEqual(refused, "client.closed")
        }
    }
}

/// Asks the core what it holds before and after.
private func leavesNothing(_ act: () async throws -> Void) async throws {
    let before = live()
    try await act()
    // Objects go when their last reference does; that of a wait that has just ended goes with its task. The limit is the play's.
    while live() != before {
        if Task.isCancelled { return XCTFail("what was never released: \(before), then \(live())") }
        await Task.yield()
    }
}

/// What this process has in memory.
func residentBytes() -> Int {
    let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4096 : 0
}
