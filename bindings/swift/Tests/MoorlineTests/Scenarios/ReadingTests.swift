import Foundation
@testable import Moorline
import XCTest

/// The scenarios of `bindings/js/test/scenarios/reading.ts`, by the same names.
final class ReadingTests: XCTestCase {
    func test_begins_where_it_is_told() async throws {
        try await play { world in
            let name = world.channel()
            let writer = try world.client("alice").channel(name)
            let epoch = try await writer.publish(json: 1).stored().epoch
            for i in 2...5 { try await writer.publish(json: i).stored() }
            func begin(_ since: Since, _ count: Int) async throws -> [Int?] {
                try await world.client("bob").channel(name, since: since).take(count).map(\.number)
            }
            let found = [
                try await begin(.first, 5), try await begin(.last(2), 2),
                try await begin(.position(Position(epoch: epoch, offset: 3)), 2), try await begin(.time(Date(timeIntervalSince1970: 0)), 1),
            ]
            XCTAssertEqual(found, [[1, 2, 3, 4, 5], [4, 5], [4, 5], [1]])
            let live = try await Reading.begin(world.client("bob").channel(name, since: .live))
            try await writer.publish(json: 6).stored()
            let next = try await live.message()
            XCTAssertEqual(next.number, 6)
            XCTAssertFalse(next.isReplayed)
            XCTAssertLessThan(abs(next.time.timeIntervalSinceNow), 60)
        }
    }

    func test_goes_on_at_the_durable_cursor_after_a_reload() async throws {
        try await play { world in
            let name = world.channel()
            let reading = try await Reading.begin(world.client("bob", store: "cursor").channel(name, durable: true))
            let alice = try world.client("alice", store: "alice")
            try await alice.channel(name).publish(text: "a").stored()
            let first = try await reading.message()
            XCTAssertEqual(first.text, "a")
            // Asking for more confirms it; the cursor's answer is what comes.
            guard case .acknowledged(offset: 1) = try await reading.next() else { return XCTFail("no acknowledgement") }
            await world.closeClients()

            let writer = try world.client("alice", store: "alice").channel(name)
            try await writer.publish(text: "b").stored()
            let again = try await world.client("bob", store: "cursor").channel(name, durable: true).take(1)
            XCTAssertEqual(again.map(\.text), ["b"])
            XCTAssertTrue(again[0].isReplayed)
        }
    }

    func test_acknowledges_by_hand() async throws {
        try await play { world in
            let name = world.channel()
            let writer = try world.client("alice", store: "alice").channel(name)
            let durable = { try world.client("bob", store: "cursor").channel(name, durable: true, acknowledges: .manual) }
            let room = try durable()
            let reading = try await Reading.begin(room)
            for text in ["a", "b", "c"] { try await writer.publish(text: text).stored() }
            let received = try await reading.messages(3)
            try room.acknowledge(received[1])
            guard case .acknowledged(offset: 2) = try await reading.next() else { return XCTFail("no acknowledgement") }
            await world.closeClients()
            let again = try await durable().take(1)
            XCTAssertEqual(again.map(\.text), ["c"])
            XCTAssertTrue(again[0].isRedelivered)
        }
    }

    func test_says_so_when_a_position_is_of_another_log() async throws {
        try await play { world in
            let name = world.channel()
            let writer = try world.client("alice").channel(name)
            for i in 1...3 { try await writer.publish(json: i).stored() }
            let elsewhere = Since.position(Position(epoch: "another.1", offset: 2))
            let reading = Reading(try world.client("bob").channel(name, since: elsewhere))
            while let event = try await reading.next() {
                guard case .reset(let reason, _, let first, let head, let from) = event else { continue }
                XCTAssertEqual(reason, .epoch)
                XCTAssertEqual([first, head, from], [1, 3, 0])
                break
            }
            let message = try await reading.message()
            XCTAssertEqual(message.number, 1)
        }
    }

    func test_a_slow_reader_holds_the_server_back_and_loses_nothing() async throws {
        try await play(within: .seconds(120)) { world in
            let name = world.channel()
            let bob = try world.client("bob", proxied: true) { options in
                options.compression = false
                options.queueMessages = 8
            }
            let reading = try await Reading.begin(bob.channel(name))
            let before = try world.lab.bytesSent()
            let writer = try world.client("alice").channel(name)
            func publish(_ range: Range<Int>) async throws {
                let receipts = try range.map { try writer.publish(json: filled($0, with: "abc")) }
                for receipt in receipts { try await receipt.stored() }
            }
            try await publish(0..<40)
            // With the first answer the client has seen them, and asked for a pause; with the second the server knows of that.
            _ = try await bob.status(of: ["nobody"])
            _ = try await bob.status(of: ["nobody"])
            try await publish(40..<300)
            _ = try await bob.status(of: ["nobody"])
            XCTAssertLessThan(try world.lab.bytesSent() - before, 150 * 8 * 1024)
            let received = try await reading.messages(300)
            XCTAssertEqual(try received.map { try $0.decode([String: String].self)["i"] }, (0..<300).map { "\($0)" })
        }
    }

    func test_what_compresses_crosses_compressed() async throws {
        try await play { world in
            let name = world.channel()
            let payloads = (0..<50).map { filled($0, with: "{\"user\":\"alice\",\"text\":\"hello, number \($0)\"},") }
            let writer = try world.client("alice").channel(name)
            for payload in payloads { try await writer.publish(json: payload).stored() }
            for compression in [false, true] {
                let before = try world.lab.bytesSent()
                let bob = try world.client("bob", proxied: true) { $0.compression = compression }
                let received = try await bob.channel(name, since: .first).take(50)
                XCTAssertEqual(try received.map { try $0.decode([String: String].self) }, payloads)
                XCTAssertEqual(try world.lab.bytesSent() - before < 100 * 1024, compression)
            }
        }
    }

    func test_asks_for_history_in_both_directions() async throws {
        try await play { world in
            let room = try world.client("alice").channel(world.channel())
            for i in 1...5 { try await room.publish(json: i).stored() }
            let newest = try await room.history(limit: 2)
            XCTAssertEqual(newest.messages.map(\.number), [4, 5])
            XCTAssertTrue(newest.hasMore)
            XCTAssertEqual([newest.first, newest.head], [1, 5])
            func numbers(_ range: HistoryRange, limit: Int = 50) async throws -> [Int?] {
                try await room.history(range, limit: limit).messages.map(\.number)
            }
            let found = [
                try await numbers(.after(3)), try await numbers(.before(3)),
                try await numbers(.since(.init(timeIntervalSince1970: 0)), limit: 1),
                try await numbers(.until(Date().addingTimeInterval(60)), limit: 1),
            ]
            XCTAssertEqual(found, [[4, 5], [1, 2], [1], [5]])
        }
    }
}

private func filled(_ index: Int, with text: String) -> [String: String] {
    ["i": "\(index)", "fill": String(repeating: text, count: 8 * 1024 / text.utf8.count + 1)]
}
